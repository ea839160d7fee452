"""What a benchmark leaves behind: tables, the record, the chart."""

# ruff: noqa: RUF001 # the sign for "times" is meant

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from bench import chart, record, table
from bench.figures import Runs, Spread
from bench.workloads import named
from tests.bench.runs import run, void

if TYPE_CHECKING:
    from pathlib import Path

    from bench.measurement import Measurement

RUNS = [
    run("evenhand", 1, 12),
    run("nginx", 1, 10),
    run("caddy", 1, 90),
    run("evenhand", 2, 14),
    run("nginx", 2, 10),
    void("caddy", 2, "errors: 3 timeout (of 9 requests)"),
]
TODO = named(["tiny"])
SUMMARIES = Runs(RUNS).summaries()


def printed(runs: list[Measurement]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=130)
    console.print(table.of_workload(TODO[0], Runs(runs).summaries()))
    return out.getvalue()


def test_a_ratio_shows_its_spread_when_it_has_one() -> None:
    assert table.times(Spread(1.254, 1.2, 1.3)) == "1.25× (1.20-1.30)"
    assert table.times(Spread(1.0, 1.0, 1.0)) == "1.00×"
    assert table.times(Spread(0.0123, 0.0123, 0.0123)) == "0.012×"
    assert table.times(Spread(124.4, 124.4, 124.4)) == "124×"
    assert table.times(None) == ""


def test_the_table_shows_medians_and_ratios_of_what_was_measured() -> None:
    text = printed(RUNS)
    assert "tiny GET" in text
    assert "1.30× (1.20-1.40)" in text
    assert "13.0" in text
    assert "idle connection" not in text


def test_a_peer_whose_runs_are_all_void_says_so() -> None:
    assert "void" in printed([void("caddy", 1, "it ended at the start")])


def test_void_runs_are_named_with_their_reason() -> None:
    (line,) = table.void_lines(SUMMARIES)
    assert line == "void: tiny, caddy: errors: 3 timeout (of 9 requests)"


def test_the_markdown_table_has_a_column_per_peer() -> None:
    lines = table.markdown(TODO, SUMMARIES).splitlines()
    assert lines == [
        "| CPU per request | evenhand | nginx, µs | caddy |",
        "| --- | ---: | ---: | ---: |",
        "| tiny GET | 1.30× (1.20-1.40) | 10.0 | 9.00× |",
    ]


def test_the_record_holds_every_run_with_its_raw_figures() -> None:
    setting = record.Setting("2026-01-01 00:00 UTC", {"cpu": "x"}, {"nginx": "1"}, {})
    said = json.loads(record.text(setting, RUNS, SUMMARIES))
    assert said["date"] == "2026-01-01 00:00 UTC"
    assert said["versions"] == {"nginx": "1"}
    assert len(said["runs"]) == len(RUNS)
    assert said["runs"][0]["figures"]["cpu_us"] == 12
    assert said["runs"][-1]["void"].startswith("errors: 3 timeout")
    assert said["summary"][0]["ratios"]["cpu_us"]["median"] == pytest.approx(1.3)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    record.write(folder, "bench.json", "old")
    path = record.write(folder, "bench.json", "new")
    assert path.read_text() == "new"
    assert list(folder.iterdir()) == [path]


def test_the_chart_is_well_formed_and_has_a_dot_per_peer() -> None:
    svg = chart.svg(TODO, SUMMARIES, note="2026 <&>")
    root = ET.fromstring(svg)
    titles = [e.text for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(t or "" for t in titles) == [
        "caddy: 9.00×",
        "evenhand: 1.30×",
        "nginx: 1.00×",
    ]
    assert "<script" not in svg


def test_the_chart_of_nothing_is_still_a_picture() -> None:
    ET.fromstring(chart.svg(TODO, [], note=""))


def test_the_axis_is_logarithmic_and_keeps_all_dots_inside() -> None:
    axis = chart.Axis([0.3, 65.0])
    assert axis.ticks[0] == 0.2
    assert axis.ticks[-1] == 100
    assert axis.x(0.2) == chart.LEFT
    assert axis.x(100) == chart.WIDTH - chart.RIGHT
    assert abs(axis.x(2) - axis.x(1) - (axis.x(20) - axis.x(10))) < 1e-9
    assert axis.x(5000) == axis.x(100)
