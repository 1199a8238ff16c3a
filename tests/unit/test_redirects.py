"""An address that is taken is on an allowed origin, however anybody else may read it."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.redirects import RedirectOrigins, origin_of
from service.refusals import Unacceptable

ORIGINS = RedirectOrigins(["https://app.example.com", "http://localhost:5173"])

# What addresses are made of, and what is put between the parts to confuse whoever reads them.
PIECES = (
    r"https: http: HTTPS: javascript: // / \ /// app.example.com APP.example.COM evil.example "
    "localhost xn--pp-8cd.example.com [::1] \u0430pp.example.com \uff41pp.example.com "
    "app.example\u3002com \u2044 \u200b : :443 :0443 :65979 :5173 :80 :\uff14\uff14\uff13 @ "
    "user:pw@ . .. # ? %2e %2f %00 %40 ; -"
)
pieces = st.sampled_from([*PIECES.split(" "), "\t", "\n", "\r\n", "\x00", " "])
addresses = st.lists(pieces, max_size=9).map("".join)


@given(addresses | st.text(max_size=30).map("https://app.example.com{}".format))
@example("https://app.example.com/done?a=b#c")
@example("http://localhost:5173")
def test_other_readers_see_the_same_origin(address: str) -> None:
    try:
        ORIGINS.check("successUrl", address)
    except Unacceptable:
        return
    for read in (urlsplit(address), httpx.URL(address)):
        port = read.port or {"http": 80, "https": 443}[read.scheme]
        assert (read.scheme, read.hostname if hasattr(read, "hostname") else read.host, port) in {
            ("https", "app.example.com", 443),
            ("http", "localhost", 5173),
        }


@pytest.mark.parametrize(
    "address",
    [
        "https://app.example.com:65979/",  # 443 once it has overflowed 16 bits
        "https://app.example.com:443@evil.example/",
        "https://app.example.com:443.evil.example/",
        "https://app.example.com:\uff14\uff14\uff13/",
        "https://app.example.com:+443/",
        "https://app.example.com:-443/",
        "https://\uff41pp.example.com/",
        "https://app.example.com..",
        "https://.app.example.com/",
        "\\\\app.example.com/",
        "\thttps://app.example.com/",
        "ht\ntps://app.example.com/",
        "https:/\t/app.example.com/",
        "blob:https://app.example.com/",
        "https://app.example.com;.evil.example/",
        "https://app.example.com,evil.example/",
        "https://[app.example.com]/",
    ],
)
def test_tricks(address: str) -> None:
    with pytest.raises(Unacceptable):
        ORIGINS.check("successUrl", address)


def test_case_and_the_usual_port_make_no_difference() -> None:
    assert origin_of("HTTPS://App.Example.COM:443/x") == origin_of("https://app.example.com")
