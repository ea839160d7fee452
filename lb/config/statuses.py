"""A set of HTTP status codes, written `200-399` or `200,204,301-308`.

A health probe and a retry ask it one question each. It is kept as ranges, sorted and
merged, so that two ways to write the same set are equal and print alike.
"""

# ruff: noqa: TRY004 - pydantic takes a ValueError, whatever was wrong

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StatusSet:
    """Which statuses count as good: ranges with both ends included."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, value: object) -> StatusSet:
        """The set in a text, or in one code given as a number.

        Raises:
            ValueError: with a sentence that names the part that is wrong.
        """
        if isinstance(value, StatusSet):
            return value
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("expected text such as 200-399")
        return cls(_merged([_range(part) for part in str(value).split(",")]))

    @classmethod
    def of_errors(cls, value: object) -> StatusSet:
        """The same of codes from 400 on; none in an empty text.

        Raises:
            ValueError: with a sentence that names what is wrong.
        """
        if value == "":
            return cls(())
        found = cls.parse(value)
        if found.ranges and found.ranges[0][0] < 400:
            raise ValueError("below 400 an answer is good")
        return found

    def codes(self) -> frozenset[int]:
        """Each of them."""
        ranges = [range(low, high + 1) for low, high in self.ranges]
        return frozenset().union(*ranges)

    def __contains__(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.ranges)

    def __str__(self) -> str:
        return ",".join(
            f"{low}" if low == high else f"{low}-{high}" for low, high in self.ranges
        )


def _range(part: str) -> tuple[int, int]:
    match = _PART.fullmatch(part.strip())
    if match is None:
        raise ValueError(f"{part.strip()!r} is not a code or range from 100 to 599")
    low = int(match[1])
    high = int(match[2] or low)
    if high < low:
        raise ValueError(f"the range {part.strip()} runs backwards")
    return low, high


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)
