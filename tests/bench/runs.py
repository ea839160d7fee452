"""Measurements made up for tests: the fewest figures that a report needs."""

from __future__ import annotations

from bench.measurement import Measurement


def run(peer: str, number: int, cpu_us: float, workload: str = "tiny") -> Measurement:
    figures = {"requests": 10.0, "requests_per_s": 1e6 / cpu_us, "cpu_us": cpu_us}
    return Measurement(workload, peer, number, figures)


def void(peer: str, number: int, reason: str, workload: str = "tiny") -> Measurement:
    return Measurement(workload, peer, number, {}, void=reason)
