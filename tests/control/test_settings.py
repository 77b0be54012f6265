"""Addresses on the command line."""

from __future__ import annotations

import pytest

from meshproxy.control.settings import Address, address_text, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:15001", ("127.0.0.1", 15001)),
        ("[::1]:80", ("::1", 80)),
        (":15000", ("0.0.0.0", 15000)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "80", "a:b", "::1:80", "h:65536", "h:-1", "h:١", "h:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        parse_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:15001", "[::1]:80"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    assert address_text(parse_address(text)) == text
