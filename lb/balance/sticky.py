"""Sticky: a client stays with the candidate that a signed cookie names.

The cookie's value is one HMAC-SHA256 over the cookie's and the candidate's name: 256
bits that name a candidate to whoever has the key, and tell others nothing. The first
12 of its 43 characters find the candidate in a table, the rest proves that the key's
owner wrote it; that is compared in constant time.

Without such a cookie, or when its candidate is not there, an inner policy chooses,
and the response brings a cookie for whoever answered: the client comes to rest there,
also if the first one returns. A cookie that is confirmed is not written again, but
one that an older key signed is, so that old keys can be dropped in the end.

A cookie has no end of its own: it says who serves, not who may ask.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from lb.balance.policy import C, Policy
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lb.balance.ask import Ask
    from lb.balance.set_cookie import CookieAttributes

LEAST_KEY_BYTES: Final = 16
"""128 bits, if they are random: NIST SP 800-107 asks for no less."""

_FOUND_BY: Final = 12
"""Characters of base64: 72 bits, of which 2,000 candidates share none."""


class Sticky(Policy[C]):
    """See the module. The first of `keys` signs, all of them verify.

    Raises:
        ConfigError: there is no key, or one is too short.
    """

    needs_ask = True

    def __init__(
        self, inner: Policy[C], keys: Sequence[bytes], cookie: CookieAttributes
    ) -> None:
        if not keys:
            raise ConfigError(
                "balance.sticky.keys: sticky needs a key to sign its cookies with;"
                " the same for all balancers that serve a site"
            )
        if min(map(len, keys)) < LEAST_KEY_BYTES:
            raise ConfigError(
                f"balance.sticky.keys: a key needs {LEAST_KEY_BYTES} bytes or more"
            )
        self._inner = inner
        self._keys = tuple(keys)
        self._name = cookie.name.encode()
        self._after = cookie.after_value()
        self._values: dict[str, tuple[bytes, ...]] = {}
        self._found: dict[bytes, tuple[bytes, C]] = {}

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`; 2 us for each key and candidate that is new."""
        self._inner.update(candidates)
        before = self._values
        values = {c.name: before.get(c.name) or self._sign(c.name) for c in candidates}
        self._found = {
            value[:_FOUND_BY]: (value, candidate)
            for candidate in candidates
            for value in values[candidate.name]
        }
        self._values = values

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`. 1 us, or what the inner policy takes."""
        named = self._named(ask)
        return self._inner.choose(ask) if named is None else named

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; the named one before the inner policy's."""
        named = self._named(ask)
        if named is not None and named not in without:
            return named
        return self._inner.choose_without(ask, without)

    def inputs(self, ask: Ask, candidate: C) -> str:
        """See `Policy.inputs`; `cookie` is good, unusable or absent."""
        named = self._named(ask)
        state = "unusable" if ask.cookie(self._name) else "absent"
        shown = f"cookie={state if named is None else 'good'}"
        shown += f" named={'yes' if named is candidate else 'no'}"
        return f"{shown} {self._inner.inputs(ask, candidate)}"

    def binds(self, ask: Ask) -> bool:
        """See `Policy.binds`; who has a good cookie has a session there."""
        return self._named(ask) is not None

    def answer(self, ask: Ask, chosen: C) -> bytes:
        """See `Policy.answer`; none if the client's own says the same, newly signed."""
        known = self._values.get(chosen.name)
        value = known[0] if known else self._sign(chosen.name)[0]
        if hmac.compare_digest(ask.cookie(self._name), value):
            return b""
        return b"%b=%b%b" % (self._name, value, self._after)

    def _named(self, ask: Ask) -> C | None:
        """The candidate that the client's cookie names, if it is there."""
        given = ask.cookie(self._name)
        value, candidate = self._found.get(given[:_FOUND_BY], (b"", None))
        is_good = candidate is not None and hmac.compare_digest(given, value)
        return candidate if is_good else None

    def _sign(self, name: str) -> tuple[bytes, ...]:
        """The value for a candidate by each key."""
        # A cookie's name has no NUL, so no two pairs of names look the same.
        text = b"%b\0%b" % (self._name, name.encode())
        digests = (hmac.digest(key, text, "sha256") for key in self._keys)
        return tuple(urlsafe_b64encode(d).rstrip(b"=") for d in digests)
