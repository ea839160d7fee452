"""`lb explain`: one request's story, from the flight recorder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, open_file, print_json, say
from lb.cli.printing import milliseconds, plain, recorded, stamp
from lb.cli.recent import as_plain, backend_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.shm import RequestRecord

NOT_FOUND: Final = 1
"""Exit status: no such request is recorded (any more)."""

ID_BYTES: Final = 40
"""How much of an id is recorded."""


@cli.command()
@click.argument("request_id")
@json_option
def explain(*, request_id: str, as_json: bool) -> None:
    """Tell what happened to a request, by its X-Request-Id.

    Each worker keeps its last 1,024 requests; this finds them also after the worker
    was killed. Exits with 1 when none of that id is recorded.
    """
    wanted = request_id.encode("utf-8", "surrogateescape")[:ID_BYTES].decode("latin-1")
    with open_file() as file:
        seen = 0
        found = []
        for seen, record in enumerate(file.recent(), start=1):  # noqa: B007
            if record.request_id == wanted:
                found.append(record)
    if as_json:
        print_json([as_plain(record) for record in found])
    else:
        for record in found:
            click.echo("\n".join(story(record)))
    if not found:
        say(plain(f"none of the last {seen} requests has the id {request_id!r}"))
        sys.exit(NOT_FOUND)


def story(record: RequestRecord) -> Iterator[str]:
    """What happened to a request, line by line."""
    asked = f"{recorded(record.method)} {recorded(record.target)}"
    yield f"{recorded(record.request_id)}: {asked}"
    yield f"  from      {recorded(record.client)}"
    yield f"  began     {stamp(record.began)}"
    yield f"  ended     {stamp(record.ended)}, after {record.total_s * 1000:.2f} ms"
    yield f"  worker    slot {record.slot}, its request number {record.number}"
    yield f"  chosen by {recorded(record.policy) or '-'}"
    yield f"  attempts  {_attempts(record)}"
    yield f"  phases    {_phases(record)}"
    yield f"  bytes     {record.bytes_in} from the client, {record.bytes_out} to it"
    yield f"  answer    {_answer(record)}"


def _attempts(record: RequestRecord) -> str:
    failed = zip(record.tried, record.tried_names, strict=True)
    names = [f"{backend_name(*each)} failed" for each in failed]
    if record.attempts > len(names) + 1:
        names.append("more")
    last = backend_name(record.backend_id, record.backend)
    tried_last = bool(record.tried) and record.tried[-1] == record.backend_id
    if not tried_last and record.backend_id:
        names.append(last)
    return plain(f"{record.attempts}: {', then '.join(names) or 'no backend'}")


def _phases(record: RequestRecord) -> str:
    phases = {
        "queue": record.queued_s,
        "connect": record.connect_s,
        "head": record.to_head_s,
        "total": record.total_s,
    }
    return ", ".join(
        f"{name} {milliseconds(took_s)}" + (" ms" if took_s is not None else "")
        for name, took_s in phases.items()
    )


def _answer(record: RequestRecord) -> str:
    status = str(record.status) if record.status else "none"
    return f"{status}, {record.label}" if record.label else f"{status}, it ended well"
