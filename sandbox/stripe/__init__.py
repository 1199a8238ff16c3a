"""A stand-in for Stripe that speaks its HTTP API, with state, time and webhooks.

It is driven through the official SDK, the official CLI and a browser, and the service cannot tell
it from Stripe. No tax, no Connect, no search, no money.

server      start, stop, jump in time: `StripeSandbox`
app         what happens to every request: key, version, idempotency, errors
routes      the table of endpoints, the parameters each takes and who plays it
parameters  requests read against the SDK's own parameter types
world       the state: store, clock, timers, outbox
events      the one place where events are made; outbox: their delivery as signed webhooks
control     steer it from a test: time, lost and repeated webhooks, faults
jobs        everything that time does by itself; billing: what it makes of subscriptions
pages       Checkout, the portal, 3-D Secure, invoices and Stripe.js

Every other file is one resource of the API, under its own name.
"""
