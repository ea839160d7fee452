"""The group that all commands are in, how it ends, and what many commands need."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lb import __version__
from lb.errors import LbError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.config import Settings
    from lb.shm import SharedFile

UNUSABLE = 2
"""Exit status: the settings, the shared file or an argument cannot be used."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evenhand")
def cli() -> None:
    """Evenhand, an HTTP load balancer in Python.

    Start it with `honcho start`, or `gunicorn lb.wsgi:app -w 4`.
    """


def main() -> None:
    """Run the command line; a known error is one message and exit status 2."""
    try:
        cli()
    except LbError as error:
        _fail(error)


def _fail(error: LbError) -> NoReturn:
    for text in str(error).splitlines():
        say(text)
    sys.exit(UNUSABLE)


def say(text: str) -> None:
    """Tell the person, not the program that reads standard output."""
    click.echo(f"evenhand: {text}", err=True)


def print_json(value: Any) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, indent=2))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextlib.contextmanager
def open_file(settings: Settings | None = None) -> Iterator[SharedFile]:
    """The shared file of these settings, or of those that are there now.

    Raises:
        ConfigError, StateFileError: it cannot be found or used.
    """
    from lb.config import load, state_path
    from lb.shm import SharedFile

    with SharedFile.open(state_path(settings or load())) as file:
        yield file
