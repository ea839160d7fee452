"""The sections that say how a backend is chosen, and what happens when all are full.

Each set of backends may have its own. What belongs together (`sticky` needs a key,
`same_site = "None"` needs `secure`) is checked where the policy is made, which is
for the sets that use it: what a policy does not look at does no harm.
"""

# ruff: noqa: TRY004 - pydantic takes a ValueError, whatever was wrong

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from lb.config.fields import (
    Count,
    Number,
    Seconds,
    Section,
    choice,
    count,
    seconds,
    setting,
)

SameSite = Literal["Strict", "Lax", "None", ""]

TOKEN = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - RFC 9110 section 5.6.2
_WORD = "[A-Za-z_][A-Za-z0-9_]*"
_POLICY = rf"^([a-z_]+|{_WORD}(\.{_WORD})*:{_WORD})$"
_POLICY_ALLOWED = "a policy's name in a-z and _, or package.module:function"

MOST_AGE_S = 400 * 86400
"""Browsers keep no cookie for longer (RFC 6265bis section 5.5)."""


def _checked_factor(value: float) -> float:
    if 0 < value < 1.01:
        raise ValueError("with so little room no key could stay")
    return value


def _key_list(value: object) -> object:
    """A list of texts, or one text with commas; no reason here quotes a secret."""
    if isinstance(value, str):
        value = [key.strip() for key in value.split(",")] if value.strip() else []
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list")
    for number, key in enumerate(value, start=1):
        if not isinstance(key, str) or not key:
            raise ValueError(f"key {number} is not a text, or is empty")
    return tuple(value)


Keys = Annotated[tuple[str, ...], BeforeValidator(_key_list)]
Factor = Annotated[Number, AfterValidator(_checked_factor)]


class Sticky(Section):
    """The cookie by which `sticky` knows a client again."""

    keys: Keys = setting(
        (),
        "secrets of 16 bytes or more; the first signs cookies, all verify",
        "Whoever has one can choose a backend. Give them by environment.",
        allowed="a list of texts without commas",
        secret=True,
    )
    policy: str = setting(
        "round_robin",
        "which policy chooses for a client without a good cookie",
        allowed=_POLICY_ALLOWED,
        pattern=_POLICY,
    )
    name: str = setting(
        "lb",
        "the cookie's name; __Host- and __Secure- need secure",
        allowed="letters, digits and !#$%&'*+-.^_`|~",
        pattern=f"^{TOKEN}$",
    )
    path: str = setting(
        "/",
        "for which paths browsers send the cookie",
        allowed="text that starts with /, in ASCII without spaces and ;",
        pattern="^/[!-:<-~]*$",
    )
    secure: bool = setting(
        False,
        "whether browsers send the cookie by HTTPS only",
        "Without it, anybody on the way can read the cookie.",
        allowed="true or false",
    )
    http_only: bool = setting(
        True,
        "whether scripts of a page cannot read the cookie",
        allowed="true or false",
    )
    same_site: SameSite = choice(
        "Lax",
        "whether browsers send the cookie from other sites; empty leaves it out",
        words=Literal["Strict", "Lax", "None (with secure)", "or empty"],
    )
    max_age: Count = count(
        0,
        "seconds that browsers keep the cookie; 0 until they end",
        low=0,
        high=MOST_AGE_S,
    )


class Balance(Section):
    """How a backend is chosen among the candidates."""

    policy: str = setting(
        "round_robin",
        "which policy chooses: its name, or package.module:function",
        "A function is imported and runs for every request.",
        allowed=_POLICY_ALLOWED,
        pattern=_POLICY,
    )
    hash_key: str = setting(
        "client",
        "what the policy hash takes of a request, the same to the same backend",
        "Behind a proxy that trusted_proxies does not name, client is that proxy.",
        allowed="client, uri, path, header:NAME or cookie:NAME",
        pattern=f"^(client|uri|path|(header|cookie):{TOKEN})$",
    )
    hash_balance_factor: Factor = setting(
        0.0,
        "how many times its share of all in flight hash gives a backend; 0: any",
        "Near 1, keys leave their backend often.",
        allowed="0, or a number from 1.01 to 100",
        ge=0,
        le=100,
        allow_inf_nan=False,
    )
    sticky: Sticky = Sticky()


class Queue(Section):
    """What happens to a request when every backend that might take it is full."""

    size: Count = count(
        1024,
        "requests that may wait for a backend, per set and worker; 0 for none",
        "Each holds a client's connection, and its body if it has one.",
        low=0,
        high=1_000_000,
    )
    timeout: Seconds = seconds(
        5.0,
        "seconds that a request may wait while all are full, then 503",
        "Longer than clients wait, answers are made for nobody.",
    )
    hold: Seconds = seconds(
        0.0,
        "seconds that a request may wait while all are down, then 503; 0 not at all",
        "Clients wait as long before they learn that all are down.",
        low=0.0,
    )
