"""What the service needs of the world. Each port is one file; its adapters bear the same name.

    webhooks          is this delivery genuine, and which command is it?
    inbox             what was received: durable before it is answered, claimed in order
    unit_of_work      one transaction over everything below
      customers       which user is which customer
      subscriptions   the aggregates
      ledgers         what happens once only: trials granted, invoices told of as paid
      outbox          what is to be published, in order per subscription
      duplicates      users who pay twice, marked for an operator
    partitions        which part of the work is this worker's
    event_publisher   publish and know that it arrived
    payment_provider  ask the provider for the truth
      purchases         have it do what makes a user a subscriber
      billing           have it do what a subscriber asks
      catalog           have it sell what we sell
      provider_records  all it has on record, to compare with
      webhook_endpoints have it send us what we act on
    authentication    who is asking?
    idempotency       requests that are repeated under a key
    shown_previews    what users were shown of changes of plan
    asked_terms       on which terms purchases were asked for
    claims            things that one request at a time may do
    settlements       hear that a webhook of our own was worked off
    schedule          whose turn it is to do what is done from time to time
    retention         what was kept long enough goes
    histories         everything kept about a subscription or a user, for an operator
    wakeups           wake the next stage
    clock             what time it is
    diagnosis         what is wrong, and what to do about it?
    health            can it work at all?
    metrics           what operators count, and how they read it
    levels            how full things are now

A port is a Protocol whose docstring is its promise; tests/contract holds every adapter to it.
"""
