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
_SECURE: Final = "balance.sticky.secure"


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
        for key, given, is_wrong, why in self._faults():
            if is_wrong:
                raise ConfigError(f"balance.sticky.{key}: {given!r} {why}")

    def _faults(self) -> tuple[tuple[str, object, bool, str], ...]:
        name, site = self.name, self.same_site
        prefixed = name.startswith(("__Host-", "__Secure-"))
        elsewhere = name.startswith("__Host-") and self.path != "/"
        open_site = site == "None" and not self.secure
        no_path = not _PATH.fullmatch(self.path)
        return (
            ("name", name, not _TOKEN.fullmatch(name), "is not a cookie's name"),
            ("name", name, prefixed and not self.secure, f"needs {_SECURE}"),
            ("name", name, elsewhere, "needs the path /"),
            ("path", self.path, no_path, "is not a path beginning with /"),
            ("same_site", site, site not in _SITES, "is not Strict, Lax or None"),
            ("same_site", site, open_site, f"needs {_SECURE}: browsers insist"),
            ("max_age", self.max_age_s, self.max_age_s < 0, "is less than 0"),
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
