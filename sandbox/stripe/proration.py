"""What a change in the middle of a period costs, as Stripe was recorded to compute it.

The unused time of the old price is credited and the same time of the new one is charged, by the
fraction of the period in seconds. Each line is floored on its own (-2.5 becomes -3, +4.5
becomes +4), and the credit comes first. (Stripe: Prorations)
"""

from __future__ import annotations

from sandbox.stripe.clock import Seconds


def share(amount: int, start: Seconds, end: Seconds, at: Seconds) -> int:
    """What an amount for the whole period is worth from a moment in it on; credits are negative."""
    left = min(max(end - at, 0), end - start)
    return amount * left // (end - start)
