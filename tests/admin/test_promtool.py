"""Prometheus' own tool on what is scraped, on the alert rules, and on what they do.

It is in Debian's package `prometheus`; without it on the PATH these are skipped, and
`tests/admin/test_metrics.py` and `test_deploy.py` hold the names to the conventions.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lb.model import Verdict
from tests.shm.requests import serve

if TYPE_CHECKING:
    from tests.admin.conftest import Scene

PROMTOOL = shutil.which("promtool") or ""
ALERTS = Path(__file__).parents[2] / "deploy" / "alerts.yml"
RULES: dict[str, Any] = yaml.safe_load(ALERTS.read_text())

pytestmark = pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")


def promtool(*arguments: str, said: str = "") -> str:
    """What it prints; it must find nothing."""
    done = subprocess.run(
        [PROMTOOL, *arguments], input=said, capture_output=True, text=True, timeout=30
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    return told


def test_it_has_nothing_against_a_scrape(scene: Scene) -> None:
    serve(scene.file, scene.recorder, scene.slot.row(0, 1))
    scene.judge(0, Verdict.UP)
    text = scene.ask("GET", "/metrics").get_data(as_text=True)
    assert promtool("check", "metrics", said=text) == ""


def test_it_takes_the_rules() -> None:
    assert f"{len(RULES['groups'][0]['rules'])} rules found" in promtool(
        "check", "rules", str(ALERTS)
    )


@dataclass
class Case:
    """The samples, one each 15 s, of a balancer that has the fault, and of one well.

    Series are named without `job` and `instance`, which the two differ in.
    """

    bad: dict[str, str]
    well: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    minutes: int = 20


EVER = "+0x80"
BACKEND = {"backend": "web1"}
SLOT = {"slot": "0"}
TAKEN_OUT = 'evenhand_backend_taken_out{backend="web1"}'
UP = 'evenhand_backend_up{backend="web1"}'
BUCKET = 'evenhand_backend_request_duration_seconds_bucket{backend="web1",le="%s"}'
HEARTBEAT = 'evenhand_worker_heartbeat_timestamp_seconds{slot="0"}'
PROBED = 'evenhand_backend_last_probe_timestamp_seconds{backend="web1"}'
ATTEMPTS = 'evenhand_backend_attempts_total{backend="web1"}'


def flag(series: str, bad: int, **labels: str) -> Case:
    """A number that is wrong, and 0 or 1 where all is well."""
    named = ",".join(f'{name}="{value}"' for name, value in labels.items())
    name = f"{series}{{{named}}}" if named else series
    return Case({name: f"{bad}{EVER}"}, {name: f"{int(not bad)}{EVER}"}, labels)


CASES = {
    "EvenhandDown": flag("evenhand_balancer_up", 0),
    "EvenhandNothingAvailable": flag("evenhand_set_available_backends", 0, set="api"),
    "EvenhandPanic": flag("evenhand_set_in_panic", 1, set="api"),
    "EvenhandErrors": Case(
        {
            'evenhand_requests_total{code="2xx"}': "0+90x80",
            'evenhand_requests_total{code="5xx"}': "0+10x80",
        },
        {
            'evenhand_requests_total{code="2xx"}': "0+990x80",
            'evenhand_requests_total{code="5xx"}': "0+10x80",
        },
    ),
    "EvenhandBackendDown": Case(
        {UP: f"0{EVER}", TAKEN_OUT: f"0{EVER}"},
        {UP: f"0{EVER}", TAKEN_OUT: f"1{EVER}"},
        BACKEND,
    ),
    "EvenhandBackendFailing": Case(
        {
            ATTEMPTS: "0+100x80",
            'evenhand_backend_failures_total{backend="web1",reason="a"}': "0+20x80",
        },
        {
            ATTEMPTS: "0+100x80",
            'evenhand_backend_failures_total{backend="web1",reason="a"}': "0+2x80",
        },
        BACKEND,
    ),
    "EvenhandEjected": Case(
        {'evenhand_backend_ejections_total{backend="web1"}': "0+1x80"},
        {'evenhand_backend_ejections_total{backend="web1"}': f"7{EVER}"},
        BACKEND,
    ),
    "EvenhandRetries": Case(
        {
            ATTEMPTS: "0+100x80",
            'evenhand_backend_retries_total{backend="web1"}': "0+20x80",
        },
        {
            ATTEMPTS: "0+100x80",
            'evenhand_backend_retries_total{backend="web1"}': "0+1x80",
        },
    ),
    "EvenhandSlow": Case(
        {
            BUCKET % "1.0": "0+90x80",
            BUCKET % "10.0": "0+100x80",
            BUCKET % "+Inf": "0+100x80",
        },
        {
            BUCKET % "1.0": "0+100x80",
            BUCKET % "10.0": "0+100x80",
            BUCKET % "+Inf": "0+100x80",
        },
        BACKEND,
    ),
    "EvenhandQueueing": flag("evenhand_set_queued_requests", 5, set="api"),
    "EvenhandWorkerStuck": Case(
        {HEARTBEAT: f"0{EVER}"}, {HEARTBEAT: "0+15x80"}, SLOT
    ),
    "EvenhandWorkersDisagree": flag("evenhand_worker_generations_behind", 3, **SLOT),
    "EvenhandSettingsRefused": flag("evenhand_worker_settings_behind", 1, **SLOT),
    "EvenhandUnchecked": flag("evenhand_checker_up", 0),
    "EvenhandProbesLate": Case(
        {PROBED: f"0{EVER}", TAKEN_OUT: f"0{EVER}"},
        {PROBED: "0+15x80", TAKEN_OUT: f"0{EVER}"},
        BACKEND,
    ),
    "EvenhandTakenOutForLong": Case(
        {TAKEN_OUT: "1+0x3000"}, {TAKEN_OUT: "0+0x3000"}, BACKEND, minutes=12 * 60 + 5
    ),
}  # fmt: skip
"""Of each alert, when it fires, and when it does not."""


def of_balancer(instance: str, series: dict[str, str]) -> list[dict[str, str]]:
    found = []
    for name, values in series.items():
        family, _, labels = name.partition("{")
        named = [f'job="evenhand",instance="{instance}"', labels.rstrip("}")]
        full = f"{family}{{{','.join(filter(None, named))}}}"
        found.append({"series": full, "values": values})
    return found


def check(folder: Path, *tests: dict[str, Any]) -> None:
    """`promtool test rules`, without annotations, which the other tests look at."""
    rules = json.loads(json.dumps(RULES))
    for rule in rules["groups"][0]["rules"]:
        del rule["annotations"]
    (folder / "rules.yml").write_text(json.dumps(rules))
    asked = {"rule_files": ["rules.yml"], "tests": list(tests)}
    (folder / "test.yml").write_text(json.dumps(asked))
    promtool("test", "rules", str(folder / "test.yml"))


def test_each_alert_has_its_case() -> None:
    names = {rule["alert"] for rule in RULES["groups"][0]["rules"]}
    assert names == {"EvenhandUnseen", *CASES}


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_for_the_balancer_that_has_the_fault(
    tmp_path: Path, name: str
) -> None:
    """And only for that: two are scraped, which have backends of the same names."""
    case = CASES[name]
    (rule,) = [r for r in RULES["groups"][0]["rules"] if r["alert"] == name]
    labels = {"job": "evenhand", "instance": "bad", **case.labels, **rule["labels"]}
    fired = {"alertname": name, "eval_time": f"{case.minutes}m"}
    check(
        tmp_path,
        {
            "interval": "15s",
            "input_series": of_balancer("bad", case.bad)
            + of_balancer("well", case.well),
            "alert_rule_test": [{**fired, "exp_alerts": [{"exp_labels": labels}]}],
        },
    )


def test_an_alert_fires_when_nothing_is_scraped(tmp_path: Path) -> None:
    fired = {"alertname": "EvenhandUnseen", "eval_time": "2m"}
    expected = [{"exp_labels": {"severity": "warning"}}]
    well = of_balancer("well", {"evenhand_balancer_up": f"1{EVER}"})
    check(
        tmp_path,
        {
            "interval": "15s",
            "input_series": [],
            "alert_rule_test": [{**fired, "exp_alerts": expected}],
        },
        {
            "interval": "15s",
            "input_series": well,
            "alert_rule_test": [{**fired, "exp_alerts": []}],
        },
    )
