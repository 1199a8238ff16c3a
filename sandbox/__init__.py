"""Everything `make run` needs that is not part of the product."""
