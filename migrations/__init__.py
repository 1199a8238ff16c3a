"""Alembic migrations of the schema `payments`."""
