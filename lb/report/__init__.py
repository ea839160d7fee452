"""What a balancer does and did, as plain values: for JSON, tables and pages alike.

The command line and the admin app both print these, so that they never tell two
stories. Only the shared file is read; nothing here knows HTTP or a terminal.
"""

from lb.report.changes import (
    change_report,
    failing,
    outcome_report,
    reload_report,
)
from lb.report.events import event_report
from lb.report.health import add_health
from lb.report.requests import has_failed, request_report, select, story, with_id
from lb.report.snapshot import by_class, snapshot
from lb.report.state import Report, changes_of, state_report, worker_reports

__all__ = [
    "Report",
    "add_health",
    "by_class",
    "change_report",
    "changes_of",
    "event_report",
    "failing",
    "has_failed",
    "outcome_report",
    "reload_report",
    "request_report",
    "select",
    "snapshot",
    "state_report",
    "story",
    "with_id",
    "worker_reports",
]
