"""Operations that the provider is to carry out once, however often they are asked for."""

import asyncio
from typing import Final

# Seconds before an operation that another request has in hand is asked for again; the adapter has
# tried for about as long before it says so. Five times together that is most of what a call takes
# at worst, and leaves a request time for the rest.
A_MOMENT: Final = 1.0


async def wait_a_moment() -> None:
    """Leave time to the request that has the operation in hand: the provider does not call us."""
    await asyncio.sleep(A_MOMENT)


def nth(operation: str, spoilt: int) -> str:
    """This operation again, after so many whose failure the provider has recorded.

    Whoever tries meets the same recorded failures and comes to the same name, so that it is
    still carried out once.
    """
    return f"{operation}:{spoilt}" if spoilt else operation
