"""The chart: CPU per request against nginx, a line per workload, a dot per peer.

An SVG of our own: dots with their spread on a logarithmic axis are a hundred lines here
and a dependency with fonts and themes elsewhere. It reads on light and dark pages,
needs no script, and is the same bytes for the same figures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from bench.figures import REFERENCE
from bench.measurement import CPU
from bench.table import TIMES, ratio_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Spread, Summary
    from bench.workloads import Workload

COLOURS: Final = {
    "evenhand": "#d6336c",
    "nginx": "#2b8a3e",
    "nginx-64k": "#94d82d",
    "haproxy": "#1971c2",
    "caddy": "#0c8599",
    "go": "#6741d9",
    "aiohttp": "#e8590c",
    "naive-flask": "#868e96",
}

LEFT: Final = 330
RIGHT: Final = 40
WIDTH: Final = 900
TOP: Final = 84
ROW: Final = 26
BOTTOM: Final = 56
TICKS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #343a40 }
.title { font-size: 16px; font-weight: 600 }
.note { font-size: 12px; fill: #868e96 }
.grid { stroke: #868e96; stroke-opacity: .25 }
.one { stroke: #2b8a3e; stroke-opacity: .8 }
@media (prefers-color-scheme: dark) { text { fill: #dee2e6 } }
"""


class Axis:
    """A logarithmic axis over some ratios, on whole ticks."""

    def __init__(self, ratios: Sequence[float]) -> None:
        least, most = min([1.0, *ratios]), max([2.0, *ratios])
        self.ticks = [
            tick
            for number, tick in enumerate(TICKS)
            if (number + 1 == len(TICKS) or TICKS[number + 1] > least)
            and (number == 0 or TICKS[number - 1] < most)
        ]

    def x(self, ratio: float) -> float:
        """Where a ratio is; beyond the ticks it stays at the edge."""
        low, high = math.log(self.ticks[0]), math.log(self.ticks[-1])
        share = (math.log(ratio) - low) / (high - low)
        return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT)


def svg(
    workloads: Sequence[Workload], summaries: Sequence[Summary], *, note: str
) -> str:
    """The chart; `note` is a line below it: date, machine."""
    ratios = {
        (s.workload, s.peer): s.ratios[CPU.key]
        for s in summaries
        if CPU.key in s.ratios
    }
    rows = [w for w in workloads if any(name == w.name for name, _ in ratios)]
    peers = list(dict.fromkeys(peer for _, peer in ratios))
    axis = Axis([edge for s in ratios.values() for edge in (s.least, s.most)])
    height = TOP + len(rows) * ROW + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<style>{STYLE}</style>",
        _text(16, 26, f"CPU per request, as multiples of {REFERENCE}'s", "title"),
        *_legend(peers),
        *_grid(axis, height - BOTTOM),
    ]
    for number, workload in enumerate(rows):
        y = TOP + number * ROW + ROW / 2
        parts.append(_text(16, y + 4, workload.title))
        for peer in reversed(peers):  # the first is drawn on top
            if spread := ratios.get((workload.name, peer)):
                parts.append(_dot(axis, y, peer, spread))
    parts += [_text(16, height - 12, note, "note"), "</svg>"]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, content: str, kind: str = "", anchor: str = "") -> str:
    attributes = f' class="{kind}"' if kind else ""
    attributes += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{attributes}>{escape(content)}</text>'


def _legend(peers: Sequence[str]) -> list[str]:
    parts, x = [], 16.0
    for peer in peers:
        parts.append(f'<circle cx="{x + 5:.0f}" cy="48" r="5" fill="{_colour(peer)}"/>')
        parts.append(_text(x + 15, 52, peer))
        x += 40 + 7.5 * len(peer)
    return parts


def _grid(axis: Axis, bottom: float) -> list[str]:
    parts = []
    for tick in axis.ticks:
        x, kind = axis.x(tick), "one" if tick == 1 else "grid"
        parts.append(
            f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" '
            f'class="{kind}"/>'
        )
        parts.append(_text(x, bottom + 18, f"{tick:g}{TIMES}", "note", "middle"))
    return parts


def _dot(axis: Axis, y: float, peer: str, ratio: Spread) -> str:
    x, colour = axis.x(ratio.median), _colour(peer)
    radius = 6 if peer == "evenhand" else 4.5
    title = f"{peer}: {ratio_text(ratio.median)}{TIMES}"
    return (
        f'<g stroke="{colour}" fill="{colour}"><title>{escape(title)}</title>'
        f'<line x1="{axis.x(ratio.least):.1f}" y1="{y:.1f}" '
        f'x2="{axis.x(ratio.most):.1f}" y2="{y:.1f}" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/></g>'
    )


def _colour(peer: str) -> str:
    return COLOURS.get(peer, "#495057")
