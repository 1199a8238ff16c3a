"""`payments sandbox`: there in a checkout, and a word about it where it is not."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from service import cli, guest_commands


def _installed(monkeypatch: pytest.MonkeyPatch, *values: str) -> None:
    found = [EntryPoint("sandbox", value, guest_commands.GROUP) for value in values]
    monkeypatch.setattr(guest_commands, "entry_points", lambda **_: EntryPoints(found))


def test_in_a_checkout_the_sandbox_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["sandbox", "--help"])
    assert ended.value.code == 0
    assert "--scenario" in capsys.readouterr().out


@pytest.mark.parametrize("values", [(), ("no_such_package.cli:main",)])
def test_where_it_is_not_installed_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], values: tuple[str, ...]
) -> None:
    """The built package names the command too, though not what is behind it."""
    _installed(monkeypatch, *values)
    assert cli.main(["sandbox", "--scenario", "lifecycle"]) == 2
    said = capsys.readouterr().err
    assert "not part of this installation" in said
    assert "checkout" in said


def test_what_the_sandbox_itself_lacks_is_not_taken_for_its_absence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _installed(monkeypatch, "tests.unit.no_such_module:main")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        cli.main(["sandbox"])


def test_it_gets_its_arguments_and_gives_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    def main(arguments: list[str]) -> int:
        given.extend(arguments)
        return 3

    monkeypatch.setattr("sandbox.cli.main", main)
    assert cli.main(["sandbox", "--scenario", "outage"]) == 3
    assert given == ["--scenario", "outage"]
