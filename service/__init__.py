"""What the service does, one use case per file. Follow a webhook through them:

receive_webhook              checks it and writes it to the inbox
process_inbox                claims it there
message_bus                  knows its handler:
  apply_subscription_change    a snapshot of a subscription
  record_payment               an invoice that was paid or not
  link_customer                who a customer is
relay_outbox                 publishes what was said of it

What users do, each a file:

ensure_customer              a user becomes a customer, once
start_checkout, subscribe    buying on Stripe's page or on ours; purchasing is common to both
sync_checkout                the buyer is back before the webhook: into the inbox, and wait
view_subscription, list_invoices, open_portal
change_plan, cancel_subscription   owned_subscription finds what is theirs
sync_catalog                 an operator has the provider sell what the settings say
"""
