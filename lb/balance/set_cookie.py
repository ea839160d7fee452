"""The attributes that a Set-Cookie field carries besides its name and value.

Checked when they are set, so that no browser has to drop a cookie in silence
(RFC 6265 section 4.1, and its successor for SameSite and the name prefixes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from lb.errors import ConfigError

SameSite = Literal["Strict", "Lax", "None", ""]

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PATH: Final = re.compile(r"/[\x21-\x3a\x3c-\x7e]*")
_SITES: Final = ("Strict", "Lax", "None", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAttributes:
    """`max_age_s` 0 is until the browser ends; `same_site` empty leaves it out.

    Raises:
        ConfigError: browsers would refuse it, or it would break the field.
    """

    name: str = "lb"
    path: str = "/"
    secure: bool = False
    http_only: bool = True
    same_site: SameSite = "Lax"
    max_age_s: int = 0

    def __post_init__(self) -> None:
        for key, is_wrong, why in self._faults():
            if is_wrong:
                given = getattr(self, key)
                raise ConfigError(f"balance.sticky.{key}: {given!r} {why}")

    def _faults(self) -> tuple[tuple[str, bool, str], ...]:
        prefixed = self.name.startswith(("__Host-", "__Secure-"))
        elsewhere = self.name.startswith("__Host-") and self.path != "/"
        return (
            ("name", not _TOKEN.fullmatch(self.name), "is not a cookie's name"),
            ("name", prefixed and not self.secure, "needs balance.sticky.secure"),
            ("name", elsewhere, "needs the path /"),
            ("path", not _PATH.fullmatch(self.path), "is not a path beginning with /"),
            ("same_site", self.same_site not in _SITES, "is not Strict, Lax or None"),
            (
                "same_site",
                self.same_site == "None" and not self.secure,
                "needs balance.sticky.secure: browsers refuse it without",
            ),
            ("max_age_s", self.max_age_s < 0, "is less than 0"),
        )

    def after_value(self) -> bytes:
        """What follows `name=value`, with its leading semicolon."""
        parts = [f"; Path={self.path}"]
        if self.max_age_s:
            parts.append(f"; Max-Age={self.max_age_s}")
        if self.secure:
            parts.append("; Secure")
        if self.http_only:
            parts.append("; HttpOnly")
        if self.same_site:
            parts.append(f"; SameSite={self.same_site}")
        return "".join(parts).encode()
