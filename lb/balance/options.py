"""What policies may be told and handed besides their candidates."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from lb.balance.policy import NoLoads
from lb.balance.set_cookie import CookieAttributes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lb.balance.policy import Loads

_LOG: Final = logging.getLogger("evenhand.balance")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """Settings, and the outside: loads, chance, clock and log.

    Checked by the policy that uses them. `sticky_policy` chooses where no cookie
    does; `clock` gives seconds and never goes back.
    """

    hash_key: str = "client"
    hash_balance_factor: float = 0.0
    sticky_keys: Sequence[bytes] = field(default=(), repr=False)
    sticky_cookie: CookieAttributes = field(default_factory=CookieAttributes)
    sticky_policy: str = "round_robin"
    loads: Loads[Any] = field(default_factory=NoLoads)
    chance: Random = field(default_factory=Random)
    clock: Callable[[], float] = monotonic
    log: logging.Logger = _LOG
