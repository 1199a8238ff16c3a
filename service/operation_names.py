"""Names of operations that the provider is to carry out once, however often they are asked for."""


def nth(operation: str, spoilt: int) -> str:
    """This operation again, after so many whose failure the provider has recorded.

    Whoever tries meets the same recorded failures and comes to the same name, so that it is
    still carried out once.
    """
    return f"{operation}:{spoilt}" if spoilt else operation
