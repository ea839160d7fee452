"""The command line: `python -m lb COMMAND`, installed as `lb`.

Commands read the shared file and the settings, and some store into the file, or they
ask an admin process for the same (`lb.cli.reach`); none of them talks to a worker. A
module here is a command or a few that belong together, each added to the group in
`lb.cli.group`.
"""

from lb.cli import (
    checking,
    completion,
    eventful,
    explaining,
    operating,
    recent,
    reloading,
    serving,
    status,
    watching,
)
from lb.cli.group import cli, main

__all__ = [
    "checking",
    "cli",
    "completion",
    "eventful",
    "explaining",
    "main",
    "operating",
    "recent",
    "reloading",
    "serving",
    "status",
    "watching",
]
