"""`lb completion SHELL`: the script by which a shell completes commands and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lb.cli.group import COMPLETE_VARIABLE, cli

SHELLS = ("bash", "zsh", "fish")


@cli.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print what makes a shell complete commands, options and backends.

    \b
        bash: eval "$(lb completion bash)"     in ~/.bashrc
        zsh:  eval "$(lb completion zsh)"      in ~/.zshrc
        fish: lb completion fish | source      in config.fish
    """
    made = get_completion_class(shell)
    if made is None:  # click knows all three
        raise click.UsageError(f"no completion for {shell}")
    # The template itself: `source` would first run a bash to ask for its version.
    script = made.source_template % made(cli, {}, "lb", COMPLETE_VARIABLE).source_vars()
    click.echo(script)
