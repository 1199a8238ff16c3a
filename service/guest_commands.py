"""Commands of `payments` that come with packages beside the product, which knows nothing of them.

A package names its command as an entry point of the group `payments.commands`: a function that
takes the arguments and returns the exit status.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Final

GROUP: Final = "payments.commands"

# Those we know of, so that `payments --help` lists them and says what is missing where they are.
EXPLANATIONS: Final[Mapping[str, str]] = {
    "sandbox": "run everything on this machine, or play a scenario on it",
}


def run(name: str, arguments: Sequence[str]) -> int:
    """The command's exit status; 2 where it is not installed."""
    for entry_point in entry_points(group=GROUP, name=name):
        try:
            main = entry_point.load()
        except ModuleNotFoundError as error:
            if error.name != entry_point.module.partition(".")[0]:
                raise  # it is here, and lacks something else
            break
        status: int = main(arguments)
        return status
    sys.stderr.write(
        f"payments {name}: the {name} is not part of this installation: "
        f"run it from a checkout of the source, after `make setup`\n"
    )
    return 2
