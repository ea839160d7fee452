"""`lb explain`: one request's story, from the flight recorder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, print_json, say
from lb.cli.printing import plain, recorded, stamp
from lb.cli.where import on_balancer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.cli.reach.operator import Operator
    from lb.report import Report

NOT_FOUND: Final = 1
"""Exit status: no such request is recorded (any more)."""


@cli.command()
@click.argument("request_id")
@on_balancer
@json_option
def explain(*, operator: Operator, request_id: str, as_json: bool) -> None:
    """Tell what happened to a request, by its X-Request-Id.

    Each worker keeps its last 1,024 requests; this finds them also after the worker
    was killed. Exits with 1 when none of that id is recorded.
    """
    found = operator.explain(request_id)
    if as_json:
        print_json(found.requests)
    else:
        for record in found.requests:
            click.echo("\n".join(told(record)))
    if found.nothing:
        say(plain(found.nothing))
        sys.exit(NOT_FOUND)


def told(record: Report) -> Iterator[str]:
    """What happened to a request, line by line."""
    asked = f"{recorded(record['method'])} {recorded(record['target'])}"
    took_ms = record["total_s"] * 1000
    yield f"{recorded(record['request_id'])}: {asked}"
    yield f"  {'from':<9} {recorded(record['client'])}"
    yield f"  {'began':<9} {stamp(record['began'])}"
    yield f"  {'ended':<9} {stamp(record['ended'])}, after {took_ms:.2f} ms"
    for about, words in record["story"].items():
        yield f"  {about:<9} {plain(words)}"
