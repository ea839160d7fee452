"""The peers' configurations: equal duties, nothing outside the folder they are given."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from bench import peers, static_backends, workloads
from bench.errors import BenchError
from bench.peers import Duty, caddy, evenhand, golang, haproxy, nginx, plain
from lb.config import load

if TYPE_CHECKING:
    from pathlib import Path

BACKENDS = ("127.1.0.1:9", "127.1.0.2:9")
FIELDS = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded")


@pytest.fixture
def duty(tmp_path: Path) -> Duty:
    return Duty(port=18080, backends=BACKENDS, workers=3, folder=tmp_path)


@pytest.fixture
def logging_duty(tmp_path: Path) -> Duty:
    log = tmp_path / "access.log"
    return Duty(18080, BACKENDS, workers=1, folder=tmp_path, access_log=log)


@pytest.mark.parametrize("module", [nginx, haproxy, caddy], ids=lambda m: m.__name__)
def test_configured_peers_have_all_backends_and_listen_on_loopback_only(
    module: object, duty: Duty
) -> None:
    text = module.config(duty)  # type: ignore[attr-defined]
    for address in BACKENDS:
        assert f" {address}" in text
    assert "127.0.0.1" in text
    assert "18080" in text
    assert "0.0.0.0" not in text


@pytest.mark.parametrize("module", [nginx, haproxy], ids=lambda m: m.__name__)
def test_configured_peers_set_the_same_fields_as_evenhand(
    module: object, duty: Duty
) -> None:
    text = module.config(duty)  # type: ignore[attr-defined]
    for field in (*FIELDS, "X-Request-Id", "Via"):
        assert f" {field} " in text, field


def test_caddy_sets_what_it_does_not_set_by_itself(duty: Duty) -> None:
    text = caddy.config(duty)
    assert "header_up Forwarded" in text
    assert "header_up X-Request-Id" in text
    assert text.count("+Via") == 2


def test_the_access_log_is_off_but_for_its_workload(
    duty: Duty, logging_duty: Duty
) -> None:
    path = str(logging_duty.access_log)
    assert "access_log off;" in nginx.config(duty)
    assert f"access_log {path} combined buffer=" in nginx.config(logging_duty)
    assert "option httplog" not in haproxy.config(duty)
    assert "option httplog" in haproxy.config(logging_duty)
    assert path not in caddy.config(duty)
    assert path in caddy.config(logging_duty)
    assert "-log" not in golang.launch(duty).argv
    assert path in golang.launch(logging_duty).argv
    assert path in plain.launch_aiohttp(logging_duty).argv
    assert path in plain.launch_naive(logging_duty).argv


def test_the_tuned_nginx_differs_from_the_reference_in_its_buffers_only(
    duty: Duty,
) -> None:
    plain_lines = set(nginx.config(duty).splitlines())
    tuned = set(nginx.config(duty, nginx.LARGE).splitlines())
    assert {line.split()[0] for line in tuned - plain_lines} == {
        "proxy_buffer_size",
        "proxy_buffers",
        "proxy_busy_buffers_size",
    }


def test_every_peer_gets_as_many_workers(duty: Duty) -> None:
    assert "worker_processes 3;" in nginx.config(duty)
    assert "nbthread 3" in haproxy.config(duty)
    assert golang.launch(duty).environment["GOMAXPROCS"] == "3"
    assert caddy.launch(duty).environment["GOMAXPROCS"] == "3"
    naive = plain.launch_naive(duty).argv
    assert naive[naive.index("-w") + 1] == "3"
    assert tomllib.loads(evenhand.settings(duty))["workers"] == 3


def test_evenhand_takes_the_settings_it_is_given(
    logging_duty: Duty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read by the real reader of settings, which refuses unknown keys."""
    launch = evenhand.PEER.launch(logging_duty)
    monkeypatch.setenv("LB_CONFIG", launch.environment["LB_CONFIG"])
    settings = load()
    assert [str(b.address) for b in settings.backends] == list(BACKENDS)
    assert settings.workers == 1
    assert settings.log.access == str(logging_duty.access_log)


def test_an_unknown_peer_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(
        BenchError, match=r"no peer apache: there are evenhand, nginx, nginx-64k,"
    ):
        peers.chosen(["nginx", "apache"])


def test_a_peer_that_is_missing_is_left_out_unless_it_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found, notes = peers.chosen([])
    assert "caddy" not in [peer.name for peer in found]
    assert any("apt install golang-go" in note for note in notes)
    with pytest.raises(BenchError, match="apt install haproxy"):
        peers.chosen(["haproxy"])


def test_an_unknown_workload_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(BenchError, match=r"no workload huge: there are tiny, browser"):
        workloads.named(["huge"])


def test_workloads_keep_the_order_of_the_table() -> None:
    found = workloads.named(["rate-5000", "tiny"])
    assert [workload.name for workload in found] == ["tiny", "rate-5000"]
    assert workloads.named([]) == list(workloads.ALL)


def test_the_browser_sends_fourteen_fields() -> None:
    (browser,) = workloads.named(["browser"])
    assert browser.head(7).decode().strip().count("\r\n") == 14


def test_two_thousand_addresses_differ_and_are_loopback() -> None:
    found = static_backends.addresses(9)
    assert len(set(found)) == 2000
    assert all(address.startswith("127.1.") for address in found)
    octets = [int(part) for address in found for part in address[:-2].split(".")]
    assert max(octets) <= 254


def test_the_static_backend_listens_on_every_address(tmp_path: Path) -> None:
    text = static_backends.config(tmp_path, ("127.1.0.1:9", "127.1.0.2:9"), 1)
    assert text.count("    listen 127.1.") == 2


def test_backends_are_handed_over_one_per_line(duty: Duty) -> None:
    assert duty.backends_file().read_text().split() == list(BACKENDS)
    assert json.loads(json.dumps(duty.backends)) == list(BACKENDS)
