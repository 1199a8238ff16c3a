"""What the service does, one use case per file. Follow a webhook through them:

receive_webhook              checks it and writes it to the inbox
process_inbox                claims it there
message_bus                  knows its handler:
  apply_subscription_change    a snapshot of a subscription
  record_payment               an invoice that was paid or not
  link_customer                who a customer is
relay_outbox                 publishes what was said of it
"""
