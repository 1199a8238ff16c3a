"""The command line: what is wrong is said in one line each, and nothing is started."""

from __future__ import annotations

import socket

import pytest

from service import cli
from tests.unit.test_wiring import ENVIRONMENT


def test_each_wrong_or_missing_setting_is_named_in_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRIPE_SECRET_KEY", "whsec_wrong_place")
    assert cli.main(["serve"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["payments", "serve:", "DATABASE_URL"],
        ["payments", "serve:", "STRIPE_PUBLISHABLE_KEY"],
        ["payments", "serve:", "STRIPE_WEBHOOK_SECRET"],
        ["payments", "serve:", "JWT_ISSUER"],
        ["payments", "serve:", "JWT_AUDIENCE"],
        ["payments", "serve:", "STRIPE_SECRET_KEY"],
        ["payments", "serve:", "RABBITMQ_URL"],
        ["payments", "serve:", "JWT_SECRET"],
    ]
    assert "wrong_place" not in "".join(lines)


def test_a_taken_port_stops_the_start_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit, match="--port"):
            cli.main(["api", "--port", port])
