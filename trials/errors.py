"""What stops a trial that cannot go on, apart from what it is to find."""

from __future__ import annotations


class TrialError(Exception):
    """The trial itself cannot run; the message says why and what to do."""
