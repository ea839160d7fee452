"""The figures as tables: per workload for the terminal, in short for the README."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from bench.figures import REFERENCE
from bench.measurement import CPU, FIGURES, Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Spread, Summary
    from bench.workloads import Workload

NOTHING: Final = "-"
TIMES: Final = "×"  # noqa: RUF001 # the sign is meant


def times(ratio: Spread | None) -> str:
    """A ratio as people read it, with its range if there is one: 1.25x (1.20-1.31)."""
    if ratio is None:
        return ""
    text = f"{ratio_text(ratio.median)}{TIMES}"
    if ratio.least == ratio.most:
        return text
    return f"{text} ({ratio_text(ratio.least)}-{ratio_text(ratio.most)})"


def ratio_text(ratio: float) -> str:
    """Two decimals, one more below a tenth; fewer from 10 on."""
    digits = 3 if ratio < 0.1 else 2 if ratio < 10 else 1 if ratio < 100 else 0
    return f"{ratio:.{digits}f}"


def of_workload(workload: Workload, summaries: Sequence[Summary]) -> Table:
    """One workload: a row per peer, in each cell the median and its ratio."""
    mine = [summary for summary in summaries if summary.workload == workload.name]
    figures = [f for f in FIGURES if f is CPU or any(f.key in s.values for s in mine)]
    table = Table(
        title=f"{workload.name}: {workload.title}", title_justify="left", expand=False
    )
    table.add_column("peer")
    for figure in figures:
        table.add_column(f"{figure.title}\n{figure.unit}", justify="right")
    for summary in mine:
        table.add_row(summary.peer, *(_cell(summary, figure) for figure in figures))
    return table


def _cell(summary: Summary, figure: Figure) -> str:
    value = summary.values.get(figure.key)
    if value is None:
        return "void" if summary.void and figure is CPU else NOTHING
    lines = [figure.shown(value.median), times(summary.ratios.get(figure.key))]
    if figure is CPU and summary.to_baseline:
        lines.append(f"itself {times(summary.to_baseline)}")
    return "\n".join(line for line in lines if line)


def void_lines(summaries: Sequence[Summary]) -> list[str]:
    """What did not count, and why."""
    return [
        f"void: {summary.workload}, {summary.peer}: {reason}"
        for summary in summaries
        for reason in summary.void
    ]


def markdown(workloads: Sequence[Workload], summaries: Sequence[Summary]) -> str:
    """CPU per request: a row per workload, a column per peer, ratios to the reference.

    The reference's own column is in microseconds.
    """
    peers = list(dict.fromkeys(summary.peer for summary in summaries))
    found = {(summary.workload, summary.peer): summary for summary in summaries}
    heads = [f"{peer}, µs" if peer == REFERENCE else peer for peer in peers]
    lines = [
        f"| CPU per request | {' | '.join(heads)} |",
        "| --- |" + " ---: |" * len(peers),
    ]
    for workload in workloads:
        cells = [_short(found.get((workload.name, peer))) for peer in peers]
        lines.append(f"| {workload.title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _short(summary: Summary | None) -> str:
    value = summary.values.get(CPU.key) if summary else None
    if summary is None or value is None:
        return NOTHING
    if summary.peer == REFERENCE or CPU.key not in summary.ratios:
        return CPU.shown(value.median)
    return times(summary.ratios[CPU.key])
