"""The record of a benchmark as JSON: what ran on what, each run, the summary."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.figures import Summary
    from bench.measurement import Measurement

FORMAT = 1
"""Raised when a reader of older records would misread newer ones."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Under what conditions the runs were made."""

    date: str
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    options: Mapping[str, str | int | float | Sequence[str]]


def today() -> str:
    """The date and time in UTC, to the minute."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def text(
    setting: Setting, runs: Sequence[Measurement], summaries: Sequence[Summary]
) -> str:
    """The whole record; a run has its raw figures or the reason why it is void."""
    record = {
        "format": FORMAT,
        **asdict(setting),
        "units": "us: microseconds; bytes: bytes; requests_per_s: 1/s; ratios: 1",
        "runs": [asdict(run) for run in runs],
        "summary": [asdict(summary) for summary in summaries],
    }
    return json.dumps(record, indent=1) + "\n"


def write(folder: Path, name: str, content: str) -> Path:
    """A file that is there whole or, if we die, as it was before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    unfinished = path.with_suffix(f"{path.suffix}.new")
    unfinished.write_text(content)
    unfinished.replace(path)
    return path
