from tests.end_to_end.service import environment, inbox, stripe

__all__ = ["environment", "inbox", "stripe"]
