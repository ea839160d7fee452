"""What `deploy/` names is there: metrics, files, settings, and a word on each alert."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lb.config.settings import FIELDS
from lb.config.sources import variable_of
from lb.shm.labels import NUMBERS
from lb.shm.layout import Counter
from tests.shm.requests import passage, serve

if TYPE_CHECKING:
    from tests.admin.conftest import Scene

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
MANUAL = (ROOT / "docs" / "operations.md").read_text()
METRIC = re.compile(r"\bevenhand_[a-z0-9_]+")


@pytest.fixture
def told(scene: Scene) -> dict[str, set[str]]:
    """The samples that a balancer tells about which something has happened."""
    from lb.model import Verdict

    at = scene.slot.row(0, 1)
    serve(scene.file, scene.recorder, at)
    scene.file.cells[at.block + Counter.FAILURES + NUMBERS["dns_error"]] += 1
    made = passage(at, status=502)
    made.label = "dns_error"
    scene.recorder.finish(made, 1001.0)
    for row in (0, 1):
        scene.judge(row, Verdict.UP)
    text = scene.ask("GET", "/metrics").get_data(as_text=True)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def queries() -> list[str]:
    panels = [t["expr"] for panel in DASHBOARD["panels"] for t in panel["targets"]]
    variables = [v["query"] for v in DASHBOARD["templating"]["list"]]
    return [rule["expr"] for rule in ALERTS] + panels + variables


def test_every_metric_that_is_asked_for_exists(told: dict[str, set[str]]) -> None:
    for query in queries():
        for name in METRIC.findall(query):
            assert name in told, f"{name} in {query}"


def test_every_label_that_is_asked_for_exists(told: dict[str, set[str]]) -> None:
    """Beside those that Prometheus adds."""
    for query in queries():
        for name, inner in re.findall(r"(evenhand_[a-z0-9_]+)\{([^}]*)\}", query):
            asked = set(re.findall(r"(\w+)[=!]~?\"", inner)) - {"job", "instance"}
            assert asked <= told[name], query
        grouped = re.findall(r"(?:by|on|group_left) \(([^)]*)\)", query)
        labels = {label.strip() for group in grouped for label in group.split(",")}
        labels -= {"job", "instance"}
        known = set().union(*(told[name] for name in METRIC.findall(query)))
        assert labels <= known, query


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_explained(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"]
    anchor = rule["alert"].lower()
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{anchor}"
    section = MANUAL.partition(f"\n### {rule['alert']}\n\n")[2].partition("\n#")[0]
    assert section.lower().startswith(f"{rule['labels']['severity']}. ")
    assert "\n- " in section, "what to do"


def test_the_manual_explains_no_other_alert() -> None:
    listed = re.findall(r"^### (Evenhand\w+)$", MANUAL, re.MULTILINE)
    assert listed == [rule["alert"] for rule in ALERTS]
    for linked in re.findall(r"\]\(#(evenhand\w+)\)", MANUAL):
        assert linked in {name.lower() for name in listed}


def test_the_manual_names_every_metric_and_no_other(told: dict[str, set[str]]) -> None:
    section = MANUAL.partition("## Metrics")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(evenhand_\w+)`", section, re.MULTILINE)
    ours = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in told
        if not name.startswith("evenhand_admin_")
    }
    # Told only where it is set.
    assert set(rows) == ours | {"evenhand_backend_max_in_flight"}


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, panel["title"]
                assert x < 24
                taken.add((x, y))


@pytest.mark.parametrize("name", ["evenhand@.service", "Containerfile"])
def test_variables_and_files_that_are_named_exist(name: str) -> None:
    text = (DEPLOY / name).read_text()
    known = {variable_of(key) for key in FIELDS}
    assert set(re.findall(r"\bLB_\w+", text)) <= known
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source


def test_the_service_runs_lines_of_the_procfile() -> None:
    text = (DEPLOY / "evenhand@.service").read_text()
    started = set(re.findall(r"evenhand@(\w+)", text))
    assert started <= set(lines_of(DEPLOY))
    assert "honcho start -f deploy/Procfile -d /opt/evenhand %i" in text


def lines_of(folder: Path) -> dict[str, str]:
    """The commands of the Procfile there, without the demo's settings."""
    text = (folder / "Procfile").read_text()
    lines = re.findall(r"^(\w+): (.*)$", text, re.MULTILINE)
    of_the_demo = re.compile(r"env (LB_\w+=\S+ )+")
    return {name: of_the_demo.sub("", command) for name, command in lines}


def test_the_procfile_of_a_deployment_has_nothing_of_the_demo() -> None:
    """The same commands, with the settings that lb.toml and the environment give."""
    text = (DEPLOY / "Procfile").read_text()
    assert "LB_" not in text
    assert lines_of(DEPLOY).items() <= lines_of(ROOT).items()
    assert list(lines_of(DEPLOY)) == ["lb", "health", "admin"]
