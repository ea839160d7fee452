"""Which balancer a command is about: `--url`, `--token-file`, or the one of here."""

from __future__ import annotations

import contextlib
import functools
from typing import IO, TYPE_CHECKING, Any

import click

from lb.cli.reach import Reach
from lb.errors import LbError, ReachError

if TYPE_CHECKING:
    from collections.abc import Callable

URL = click.option(
    "--url",
    default="",
    metavar="URL",
    help="Ask the admin process there, e.g. http://lb1:9900; else the shared file.",
)
TOKEN_FILE = click.option(
    "--token-file",
    type=click.File("r"),
    metavar="FILE",
    help="Where the token for --url stands, - for standard input;"
    " else LB_ADMIN__TOKEN has it.",
)


def with_reach(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which balancer, as a `reach`."""

    @functools.wraps(command)
    def run(*, url: str, token_file: IO[str] | None, **more: Any) -> None:
        reach = Reach(url, _read_token(token_file))
        try:
            command(reach=reach, **more)
        except KeyError as error:
            if not url:
                raise
            message = f"{url} does not tell {error}: is it of another version?"
            raise ReachError(message) from error

    return URL(TOKEN_FILE(run))


def on_balancer(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the same, opened, as an `operator`."""

    @functools.wraps(command)
    def run(*, reach: Reach, **more: Any) -> None:
        with reach.opened() as operator:
            command(operator=operator, **more)

    return with_reach(run)


def _read_token(file: IO[str] | None) -> str | None:
    """The token in the file; None without a file."""
    if file is None:
        return None
    from lb.config import checked_token

    return checked_token(file.read(4096), f"the token file {file.name}")


def complete_names(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The backends' names that begin so, for the shell; none where nothing runs."""
    reach = Reach(context.params.get("url") or "")
    with contextlib.suppress(LbError), reach.opened() as operator:
        return [name for name in operator.names() if name.startswith(incomplete)]
    return []
