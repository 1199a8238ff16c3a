"""Traces sent to a collector over OTLP."""
