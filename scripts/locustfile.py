"""What the load test does and prints; `scripts/loadtest.sh` runs it under Locust.

Each user keeps one connection and asks for the next page as soon as it has the
last, so the rate is what balancer and backends (and Locust itself, which is one
process) can do together. It measures this bundle; it is not a benchmark.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import requests
from locust import FastHttpUser, events, task

if TYPE_CHECKING:
    from locust.env import Environment

UNNAMED = "(without X-Backend)"
MAX_ERRORS_SHOWN = 10

served: Counter[str] = Counter()


class Reader(FastHttpUser):
    """Somebody who reloads the page without a pause, on one connection."""

    connection_timeout = 10.0
    network_timeout = 65.0

    @task
    def page(self) -> None:
        """Fetch the page at the balancer's root."""
        self.client.get("/")


@events.init.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Stop with one line where nobody listens, and print our summary alone."""
    logging.getLogger("locust.stats_logger").setLevel(logging.CRITICAL)
    url = f"{environment.host}/"
    try:
        with requests.Session() as session:
            session.trust_env = False  # Locust's users take no proxy either
            session.get(url, timeout=65, stream=True)
    except requests.RequestException as error:
        reason = type(error).__name__
        raise SystemExit(
            f"Nothing answers at {url} ({reason}). Start the balancer first: "
            "scripts/start.sh"
        ) from None


@events.request.add_listener
def count(response: Any, exception: Exception | None, **_: Any) -> None:
    """Note which backend answered."""
    if exception is None:
        headers = getattr(response, "headers", None) or {}
        served[headers.get("X-Backend") or UNNAMED] += 1


@events.quitting.add_listener
def conclude(environment: Environment, **_: Any) -> None:
    """Print the result, and fail on any failed request or on none at all."""
    total = environment.stats.total
    print(f"Requests     {total.num_requests}, {total.total_rps:.0f} per second")
    latency = (
        f"p{p} {total.get_response_time_percentile(p / 100):.0f} ms"
        for p in (50, 95, 99)
    )
    print("Latency      " + ", ".join(latency))
    print(f"Failures     {total.num_failures}")
    for error in list(environment.stats.errors.values())[:MAX_ERRORS_SHOWN]:
        print(f"             {error.occurrences} x {error.error}")
    for name, number in sorted(served.items()):
        print(f"Served by    {name}: {number} ({number / served.total():.1%})")
    failed = total.num_failures or not total.num_requests
    environment.process_exit_code = 1 if failed else 0
