"""The kinds of value that TOML lacks: sizes, sets of statuses, addresses."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.config import StatusSet
from lb.config.addresses import address, identity, is_local, listen_text, networks
from lb.config.backends import NAME_CHARACTERS, parse_backends
from lb.config.sizes import size_bytes, size_text
from lb.model import Address

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

CODES = st.integers(100, 599)
PORTS = st.integers(1, 65535)
RANGES = st.lists(st.tuples(CODES, CODES).map(sorted), min_size=1, max_size=9)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,8})?", fullmatch=True)
HOSTS = st.one_of(NAMES, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
PATHS = st.from_regex(r"(/[a-zA-Z0-9_.=-]{1,18}){1,3}", fullmatch=True)
ADDRESSES = st.one_of(
    st.builds(lambda host, port: Address(host=host, port=port), HOSTS, PORTS),
    st.builds(lambda path: Address(path=path), PATHS),
)


@given(st.integers(0, 1 << 50))
def test_a_size_comes_back_from_its_text(number: int) -> None:
    """The text form is exact."""
    assert size_bytes(size_text(number)) == number
    assert size_bytes(str(number)) == size_bytes(number) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("7b", 7),
        (" 1 KiB ", 1024),
        ("1mib", 1 << 20),
        ("2GiB", 2 << 30),
        ("007", 7),
    ],
)
def test_sizes_as_people_write_them(text: str, number: int) -> None:
    """Case and one space do not matter."""
    assert size_bytes(text) == number


@pytest.mark.parametrize("bad", ["", "KiB", "-1", "1.5KiB", "1  KiB", "1KB", "٣", True])
def test_what_is_no_size(bad: object) -> None:
    """Ambiguous units and other alphabets' digits are refused."""
    with pytest.raises(ValueError, match=r"size|unit"):
        size_bytes(bad)


@given(RANGES)
def test_a_status_set_comes_back_from_its_text(ranges: list[list[int]]) -> None:
    """Text and set are one to one, and membership is what the ranges say."""
    text = ",".join(f"{low}-{high}" for low, high in ranges)
    statuses = StatusSet.parse(text)
    assert StatusSet.parse(str(statuses)) == statuses
    for code in range(100, 600):
        assert (code in statuses) == any(low <= code <= high for low, high in ranges)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("200-399", "200-399"),
        ("204,200,202", "200,202,204"),
        ("200,201", "200-201"),
        ("200-299,250-399,300", "200-399"),
    ],
)
def test_a_status_set_is_sorted_and_merged(text: str, shown: str) -> None:
    """Two ways to write the same set print alike."""
    assert str(StatusSet.parse(text)) == shown


@pytest.mark.parametrize("bad", ["", "2xx", "99", "600", "200-", "200,,201", 20, 2.5])
def test_what_is_no_status_set(bad: object) -> None:
    """Every part must be a three-digit code or a range of such."""
    with pytest.raises(ValueError, match=r"code or range|expected text"):
        StatusSet.parse(bad)


@given(ADDRESSES)
def test_an_address_comes_back_from_its_text(where: Address) -> None:
    """As a backend and as a listening address."""
    assert address(str(where)) == where
    assert listen_text(str(where)) == str(where)
    (backend,) = parse_backends([f"x={where}"])
    assert (backend.name, backend.address) == ("x", where)
    if len(str(where)) <= NAME_CHARACTERS:
        (backend,) = parse_backends([str(where)])
        assert (backend.name, backend.address) == (str(where), where)


@given(st.lists(ADDRESSES, min_size=1, max_size=20, unique_by=identity))
def test_a_list_of_backends_comes_back_from_one_line(wheres: list[Address]) -> None:
    """Named or not, in order."""
    line = ",".join(f"b{at}={where}" for at, where in enumerate(wheres))
    backends = parse_backends(line)
    assert [backend.address for backend in backends] == wheres
    assert [backend.name for backend in backends] == [
        f"b{at}" for at in range(len(wheres))
    ]


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    """No text fails in another way than with a ValueError."""
    for parse in (address, listen_text, networks, parse_backends, size_bytes):
        with suppress(ValueError):
            parse(text)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_a_listening_address_is_local_when_it_is_loopback(
    ip: IPv4Address | IPv6Address,
) -> None:
    """The wildcard is not."""
    assert is_local(str(Address(str(ip), 80))) == ip.is_loopback
    assert not is_local("0.0.0.0:80")
    assert not is_local("[::]:80")
    assert is_local("LocalHost:80")
    assert is_local("unix:/a")


def test_a_single_address_is_a_network_of_one() -> None:
    """Whatever its family."""
    assert [str(network) for network in networks("10.1.2.3,fe80::1")] == [
        "10.1.2.3/32",
        "fe80::1/128",
    ]
