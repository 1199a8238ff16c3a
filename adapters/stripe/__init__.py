"""Everything that knows Stripe: its signatures, its payloads, its API.

signatures   is a delivery genuine?
shapes       the fields of its objects that we rely on, in every version we have met
translation  objects to snapshots, events to commands
webhooks     the port of the same name, on top of these
payment_provider   the official SDK, behind the port of the same name
"""
