"""The group that all commands are in, how it ends, and what many commands need."""

from __future__ import annotations

import json
import sys
from typing import Any, Final, NoReturn

import click

from lb import __version__
from lb.errors import LbError

UNUSABLE: Final = 2
"""Exit status: the settings, the balancer or an argument cannot be used."""

INTERRUPTED: Final = 130
"""Exit status: Ctrl-C, as shells have it."""

COMPLETE_VARIABLE: Final = "_LB_COMPLETE"
"""By it a shell's completion asks for words, whatever the program is started by."""

SECTIONS: Final = {
    "Look at it": ("top", "status", "recent", "explain", "events"),
    "Change what runs": ("drain", "ready", "maint", "weight", "add", "remove"),
    "Settings": ("check", "plan", "reload"),
    "Others": ("health", "completion"),
}
"""The commands as the overview shows them."""


class Sections(click.Group):
    """A group whose help lists the commands by what they are for."""

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write each section; see click."""
        width = formatter.width - 6 - max(map(len, self.commands))
        for title, names in SECTIONS.items():
            rows = [(n, self.commands[n].get_short_help_str(width)) for n in names]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=Sections,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A page about each: docs/commands/. Most take --url to ask another machine.",
)
@click.version_option(__version__, prog_name="evenhand")
@click.pass_context
def cli(context: click.Context) -> None:
    """Evenhand, an HTTP load balancer in Python.

    Start it with `honcho start`, or `gunicorn lb.wsgi:app -w 4`.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line; a known error is one message and exit status 2."""
    try:
        code = cli.main(standalone_mode=False, complete_var=COMPLETE_VARIABLE)
    except LbError as error:
        _fail(error)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


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
