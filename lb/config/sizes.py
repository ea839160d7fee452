"""Sizes in bytes as people write them: `65536`, `64KiB`, `1MiB`.

Only the binary units exist here: `KB` means 1000 to some and 1024 to others, and
a limit must not depend on who reads it.
"""

from __future__ import annotations

import re

_FACTORS = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_BY_UNIT = {unit.lower(): factor for unit, factor in _FACTORS.items()} | {"": 1}
_SIZE = re.compile(r"([0-9]{1,18}) ?([A-Za-z]*)")


def size_bytes(value: object) -> int:
    """The number of bytes in a whole number or a text with a binary unit.

    Upper and lower case are the same, one space before the unit is allowed.

    Raises:
        ValueError: it is neither; the sentence says which part is wrong.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a size is a whole number, with or without a unit")
    number, unit = match.groups()
    factor = _BY_UNIT.get(unit.lower())
    if factor is None:
        raise ValueError(f"the unit {unit} is not one of B, KiB, MiB, GiB, TiB")
    return int(number) * factor


def size_text(number: int) -> str:
    """The shortest exact form: `65536` is `64KiB`, `1000` stays `1000`, 0 is `0`."""
    for unit, factor in _FACTORS.items():
        if factor > 1 and number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)
