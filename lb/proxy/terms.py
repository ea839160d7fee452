"""What the settings mean to the parts that one process is made of.

Each function reads some keys and gives what one part is told: at the start, and again
when other settings are put in force.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from lb.http1.response import ResponseParser
from lb.proxy.asker import Timeouts
from lb.proxy.budget import BudgetLimits
from lb.proxy.retry import RetryOptions
from lb.proxy.waiting import QueueLimits
from lb.upstream.backend import PoolLimits

if TYPE_CHECKING:
    from lb.config import Balance, SetSettings, Settings


def used_balance(each: SetSettings) -> Balance | None:
    """How a set chooses; None for one without backends, which never does."""
    return each.balance if each.backends else None


def used_balances(settings: Settings) -> dict[str, Balance | None]:
    """The same for all sets, by name."""
    return {each.name: used_balance(each) for each in settings.sets}


def queue_limits_of(each: SetSettings) -> QueueLimits:
    """The bounds of a set's line."""
    return QueueLimits(
        size=each.queue.size, timeout_s=each.queue.timeout, hold_s=each.queue.hold
    )


def retry_options_of(each: SetSettings) -> RetryOptions:
    """What a set's `retries` say beyond the number of attempts."""
    retries = each.retries
    return RetryOptions(
        budget=BudgetLimits(
            percent=retries.budget, least=retries.min, grace_s=retries.grace
        ),
        statuses=retries.statuses.codes(),
        hedge_s=retries.hedge,
    )


def parser_of(settings: Settings) -> ResponseParser:
    """The parser of backends' response heads."""
    return ResponseParser(limit_bytes=settings.limits.head_bytes)


def pool_limits_of(settings: Settings) -> PoolLimits:
    """The bounds of a backend's idle connections."""
    return PoolLimits(
        idle=settings.pool.idle_connections,
        idle_s=settings.pool.idle_timeout,
        age_s=settings.pool.max_age,
    )


def timeouts_of(settings: Settings) -> Timeouts:
    """The times that attempts may take."""
    return Timeouts(
        connect_s=settings.timeouts.connect,
        response_s=settings.timeouts.response,
        idle_s=settings.timeouts.idle,
        request_s=settings.timeouts.request or inf,
    )
