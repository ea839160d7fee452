"""The command line: `python -m lb COMMAND`, installed as `lb`.

Commands read the shared file and the settings, and some store into the file; none
of them talks to a worker.  A module here is a command or a few that belong together,
each added to the group in `lb.cli.group`.
"""

from lb.cli import checking, explaining, operating, recent, reloading, serving, status
from lb.cli.group import cli, main

__all__ = [
    "checking",
    "cli",
    "explaining",
    "main",
    "operating",
    "recent",
    "reloading",
    "serving",
    "status",
]
