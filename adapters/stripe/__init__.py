"""Everything that knows Stripe: its signatures, its payloads, its API.

signatures   is a delivery genuine?
shapes       the fields of its objects that we rely on, in every version we have met
translation  objects to snapshots, events to commands
webhooks     the port of the same name, on top of these
api          the official SDK: time-outs, retries, errors in our terms
circuit      and fast failure while Stripe is down
answers      what we rely on in Stripe's answers, beyond shapes
payment_provider, purchases, billing, catalog   the ports of these names, on top of api
records      its lists, page by page; the port provider_records
"""
