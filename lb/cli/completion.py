"""`lb completion SHELL`: the script by which a shell completes commands and names."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from lb.cli.group import COMPLETE_VARIABLE, cli

SHELLS: Final = ("bash", "zsh", "fish")

BASH: Final = """\
_lb_completion() {
    # Bash splits words at colons too, so URLs: the line itself is taken instead.
    local line="${COMP_LINE:0:COMP_POINT}" kind value words
    read -ra words <<< "$line"
    local number=$((${#words[@]} - 1))
    [[ $line == *[[:space:]] ]] && number=$((number + 1))
    COMPREPLY=()
    while IFS=',' read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS="$line" COMP_CWORD=$number VARIABLE=bash_complete "$1")
}
complete -o nosort -F _lb_completion lb
""".replace("VARIABLE", COMPLETE_VARIABLE)
"""By click's own protocol, but for how the line is split."""


@cli.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print what makes a shell complete commands and backends.

    \b
        bash: eval "$(lb completion bash)"     in ~/.bashrc
        zsh:  eval "$(lb completion zsh)"      in ~/.zshrc
        fish: lb completion fish | source      in config.fish
    """
    click.echo(BASH if shell == "bash" else _script(shell))


def _script(shell: str) -> str:
    made = get_completion_class(shell)
    if made is None:  # click knows all three
        raise click.UsageError(f"no completion for {shell}")
    return made(cli, {}, "lb", COMPLETE_VARIABLE).source()
