"""`payments republish`: which subscriptions are meant, and what is said of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from domain.subscription import subscription_id
from service import cli, wiring
from service.republish import Selection
from tests.stripe_payloads import USER


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Selection, bool]]:
    """Give what the command asks for; three subscriptions answer, none of a user."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://payments@localhost/payments")
    calls: list[tuple[Selection, bool]] = []

    async def republish(selection: Selection, *, dry_run: bool) -> int:
        calls.append((selection, dry_run))
        return 0 if selection.user_id else 3

    def ask(_: object, question: Callable[[Callable[..., object]], Awaitable[int]]) -> int:
        waiting = question(republish).__await__()
        try:
            next(waiting)
        except StopIteration as answer:
            return int(answer.value)
        raise AssertionError("it waits for nothing")

    monkeypatch.setattr(wiring, "ask_republish", ask)
    return calls


@pytest.mark.parametrize(
    ("arguments", "selection"),
    [
        ([], Selection()),
        (["--subscription", "sub_1"], Selection(subscription_id=subscription_id("sub_1"))),
        (
            ["--subscription", str(subscription_id("sub_1"))],
            Selection(subscription_id=subscription_id("sub_1")),
        ),
        (["--user", str(USER)], Selection(user_id=USER)),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_all_one_users_or_one_subscription_are_meant(
    asked: list[tuple[Selection, bool]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    selection: Selection,
    dry_run: bool,
) -> None:
    status = cli.main(["republish", *arguments, *(["--dry-run"] if dry_run else [])])

    assert asked == [(selection, dry_run)]
    said = capsys.readouterr().out
    if selection.user_id:
        assert status == 1
        assert "nothing was ever published of that" in said
    else:
        assert status == 0
        assert said.startswith("3 snapshots would be" if dry_run else "3 snapshots will be")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--user", "alice"], "alice is not the id"),
        (["--subscription", "1"], "1 is not the id"),
        (["--subscription", "sub_1", "--user", str(USER)], "not allowed with"),
    ],
)
def test_what_names_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["republish", *arguments])

    assert stopped.value.code == 2
    assert problem in capsys.readouterr().err
