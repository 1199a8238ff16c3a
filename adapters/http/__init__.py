"""HTTP.

app          puts the routes together
webhook, config, health   what Stripe, pages and orchestrators ask
user_api     what users do, behind `users` (who is asking) and `idempotency`
problems     every error, as a problem document
openapi      the document of all this, and its examples
server       serves it
"""
