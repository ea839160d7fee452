"""Operating a balancer while it runs: what an operator may change, and how to wait.

    done = set_wish(file, ["web1"], Wish.DRAIN, cut_at=time() + 30)
    outcome = wait_drained(OnFile(file, done), cut_at=time() + 30, tell=print)

All of it is stores into the shared file, in force in every process at its next
request; no process is talked to. The command line and the admin API are made of
these, so they can do the same and refuse the same. What happens to such changes when
settings are reloaded is in docs/operations.md.
"""

from lb.operating.changes import Done, remove, set_weight, set_wish
from lb.operating.growing import add, read_backend
from lb.operating.naming import find, listed
from lb.operating.waiting import (
    OnFile,
    Outcome,
    Standing,
    Watched,
    look,
    wait_drained,
    wait_seen,
    wait_up,
)

__all__ = [
    "Done",
    "OnFile",
    "Outcome",
    "Standing",
    "Watched",
    "add",
    "find",
    "listed",
    "look",
    "read_backend",
    "remove",
    "set_weight",
    "set_wish",
    "wait_drained",
    "wait_seen",
    "wait_up",
]
