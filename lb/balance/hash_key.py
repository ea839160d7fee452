"""What of a request is hashed: the words that the settings use, as functions.

A key is bytes as they came; nothing is decoded, so `/a` and `/%61` are two. It may be
empty: then there is none.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.balance.ask import Ask

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110 section 5.6.2: the name of a field or a cookie."""


def path_of(ask: Ask) -> bytes:
    """The target without its query."""
    return ask.target.partition(b"?")[0]


_PLAIN: Final[dict[str, Callable[[Ask], bytes]]] = {
    "client": attrgetter("client"),
    "uri": attrgetter("target"),
    "path": path_of,
}
ALLOWED: Final = "client, uri, path, header:NAME or cookie:NAME"


def key_of(word: str) -> Callable[[Ask], bytes]:
    """The function that takes a request's key; `word` is one of `ALLOWED`.

    Raises:
        ConfigError: it is none of them.
    """
    if word in _PLAIN:
        return _PLAIN[word]
    kind, _, text = word.partition(":")
    if kind in ("header", "cookie") and _TOKEN.fullmatch(text):
        name = text.encode()
        if kind == "cookie":
            return lambda ask: ask.cookie(name)
        lower = name.lower()
        return lambda ask: ask.header(lower)
    raise ConfigError(f"balance.hash_key: cannot hash {word!r}; allowed: {ALLOWED}")
