"""Routes: which set of backends a request goes to, by its host and path.

The text of a route is brought into the one form in which requests are compared
(lower-case host, path without its last slash), so that two ways to write the same
route are a duplicate and not a riddle. Which route a request takes is decided in
`lb.balance.router`.
"""

# ruff: noqa: TRY004 - pydantic takes a ValueError, whatever was wrong

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, model_validator

from lb.config.balance import TOKEN
from lb.config.fields import Section, setting
from lb.config.messages import Fault, UnfitError, nearest

SPLIT_MOST: Final = 16
WEIGHT_MOST: Final = 1_000_000
HOST_BYTES: Final = 253
"""The longest name that DNS has (RFC 1035 section 3.1)."""

SET_ALLOWED: Final = "the name of a set; or split instead"
_LABEL: Final = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\]")


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    host = value.strip().lower().removesuffix(".")
    if host in ("", "*"):
        return ""
    if not host.isascii():
        raise ValueError("a name beyond ASCII is written as browsers send it: xn--...")
    if re.search(r"(?<=.):\d*$", host) and not host.endswith("]"):
        raise ValueError("a route has no port: a host is the same on each")
    if "*" in host.removeprefix("*."):
        raise ValueError("a * stands only for all that is before the first dot")
    if len(host) > HOST_BYTES or not _HOST.fullmatch(host):
        raise ValueError("it is neither a host's name nor an address")
    return host


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    if not value.startswith("/"):
        raise ValueError("it does not start with /")
    if not value.isprintable() or set(value) & set("?#%\\; "):
        raise ValueError(
            "it holds ?, #, %, ;, a backslash or a space; write characters"
            " themselves and not their %XX"
        )
    segments = value.removesuffix("/").split("/")[1:]
    if {"", ".", ".."} & set(segments):
        raise ValueError("it has a segment that is empty, . or ..")
    return "/" + "/".join(segments)


def _split(value: object) -> tuple[tuple[str, int], ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, dict) or not value:
        raise ValueError("expected a table of sets with their weights")
    if len(value) > SPLIT_MOST:
        raise ValueError(f"these are {len(value)} sets")
    for name, weight in value.items():
        is_whole = isinstance(weight, int) and not isinstance(weight, bool)
        if not is_whole or not 0 <= weight <= WEIGHT_MOST:
            raise ValueError(
                f"the weight of {name} is not a whole number from 0 to {WEIGHT_MOST}"
            )
    if not any(value.values()):
        raise ValueError("no set has any weight")
    return tuple(value.items())


Host = Annotated[str, BeforeValidator(_host)]
Path = Annotated[str, BeforeValidator(_path)]
Split = Annotated[tuple[tuple[str, int], ...], BeforeValidator(_split)]


class Route(Section):
    """One route: what it is for, and where that goes."""

    host: Host = setting(
        "",
        "for which host; empty for any",
        allowed="a name like api.example.com, *.example.com or an IP address; empty",
    )
    path: Path = setting(
        "/",
        "for which paths: this one and all below it",
        allowed="text that starts with /",
    )
    set: str = setting("", "the set that it leads to", allowed=SET_ALLOWED)
    split: Split = setting(
        (),
        "sets that share its clients, with their weights",
        "A new weight moves clients from one set to another.",
        allowed=f"a table of 1 to {SPLIT_MOST} sets, such as {{ v1 = 95, v2 = 5 }}",
    )
    split_by: str = setting(
        "client",
        "what is the same for one client, so that it stays in its set",
        "A client without that header or cookie is known by its address.",
        allowed="client, header:NAME or cookie:NAME",
        pattern=f"^(client|(header|cookie):{TOKEN})$",
    )

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Route:
        if bool(self.set) == bool(self.split):
            reason = (
                "with split as well" if self.set else "neither it nor split is given"
            )
            raise UnfitError(Fault(self.set, reason), key="set")
        return self

    @property
    def shares(self) -> tuple[tuple[str, int], ...]:
        """The sets that it leads to, with their weights; one at least."""
        return self.split or ((self.set, 1),)

    def __str__(self) -> str:
        where = f"{self.host or '*'}{self.path}"
        if self.set:
            return f"{where} to {self.set}"
        parts = " ".join(f"{name}={weight}" for name, weight in self.split)
        return f"{where} to {parts} by {self.split_by}"

    def wrong_set(self, usable: tuple[str, ...]) -> tuple[str, Fault] | None:
        """The key and what is wrong with it, if it leads to a set that is not there."""
        key = "set" if self.set else "split"
        for name, _ in self.shares:
            if name not in usable:
                close = nearest(name, usable)
                hint = f", did you mean {close}?" if close else ""
                known = f" among {', '.join(usable)}" if usable and not close else ""
                return key, Fault(name, f"there is no such set{known}{hint}")
        return None
