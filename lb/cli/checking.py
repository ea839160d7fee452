"""`lb check`: are the settings good, and what is in force?"""

from __future__ import annotations

import click

from lb.cli.group import as_json as json_option
from lb.cli.group import cli, print_json
from lb.cli.printing import table


@cli.command()
@json_option
def check(*, as_json: bool) -> None:
    """Say whether the settings are good, and print them."""
    from lb.config import load, rows, state_path
    from lb.proxy.placing import check_policies

    settings = load()
    check_policies(settings)
    listed = [row._asdict() for row in rows(settings)]
    for row in listed:
        if row["key"] == "state.path" and row["origin"] == "default":
            row["value"] = str(state_path(settings))
    if as_json:
        print_json(listed)
        return
    table(
        ("key", "value", "from"), [(r["key"], r["value"], r["origin"]) for r in listed]
    )
    click.echo("The settings are good.")
