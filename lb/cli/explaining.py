"""`lb explain`: one request's story, from the flight recorder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, open_file, print_json, say
from lb.cli.printing import plain, recorded, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.shm import RequestRecord

NOT_FOUND: Final = 1
"""Exit status: no such request is recorded (any more)."""


@cli.command()
@click.argument("request_id")
@json_option
def explain(*, request_id: str, as_json: bool) -> None:
    """Tell what happened to a request, by its X-Request-Id.

    Each worker keeps its last 1,024 requests; this finds them also after the worker
    was killed. Exits with 1 when none of that id is recorded.
    """
    from lb.report import request_report, with_id

    with open_file() as file:
        found, seen = with_id(file, request_id)
    if as_json:
        print_json([request_report(record) for record in found])
    else:
        for record in found:
            click.echo("\n".join(told(record)))
    if not found:
        say(plain(f"none of the last {seen} requests has the id {request_id!r}"))
        sys.exit(NOT_FOUND)


def told(record: RequestRecord) -> Iterator[str]:
    """What happened to a request, line by line."""
    from lb.report import story

    asked = f"{recorded(record.method)} {recorded(record.target)}"
    yield f"{recorded(record.request_id)}: {asked}"
    yield f"  {'from':<9} {recorded(record.client)}"
    yield f"  {'began':<9} {stamp(record.began)}"
    yield f"  {'ended':<9} {stamp(record.ended)}, after {record.total_s * 1000:.2f} ms"
    for about, words in story(record).items():
        yield f"  {about:<9} {plain(words)}"
