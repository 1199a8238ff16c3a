"""HTTP: the webhook endpoint, the public configuration, the health of the service."""
