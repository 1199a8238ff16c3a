"""The way out: a durable topic exchange, published to with confirms."""
