"""The policies by the name that the settings use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lb.balance.function import FunctionPolicy
from lb.balance.hashed import Hash
from lb.balance.least_requests import LeastRequests
from lb.balance.least_time import LeastTime
from lb.balance.options import PolicyOptions
from lb.balance.power_of_two import PowerOfTwo
from lb.balance.round_robin import RoundRobin
from lb.balance.sticky import Sticky
from lb.balance.weighted_random import WeightedRandom
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.balance.policy import Policy


def _hash(offset: int, options: PolicyOptions) -> Policy[Any]:
    return Hash(
        options.hash_key,
        options.hash_balance_factor,
        options.loads,
        clock=options.clock,
        offset=offset,
    )


def _sticky(offset: int, options: PolicyOptions) -> Policy[Any]:
    name = options.sticky_policy
    if name == "sticky":
        raise ConfigError("balance.sticky.policy: sticky cannot be within sticky")
    inner = make_policy(name, offset=offset, options=options)
    return Sticky(inner, options.sticky_keys, options.sticky_cookie)


POLICIES: Final[dict[str, Callable[[int, PolicyOptions], Policy[Any]]]] = {
    "round_robin": lambda offset, _: RoundRobin(offset),
    "random": lambda _, o: WeightedRandom(o.chance),
    "least_requests": lambda _, o: LeastRequests(
        o.loads, clock=o.clock, chance=o.chance
    ),
    "power_of_two": lambda _, o: PowerOfTwo(o.loads, o.chance),
    "least_time": lambda _, o: LeastTime(o.loads, clock=o.clock, chance=o.chance),
    "hash": _hash,
    "sticky": _sticky,
}
"""Name to maker; the maker is given the process's offset, and what else it may need."""


def make_policy(
    name: str, *, offset: int, options: PolicyOptions | None = None
) -> Policy[Any]:
    """The policy called `name`, for the process whose number is `offset`.

    A name with a colon is a function's: `package.module:function`.

    Raises:
        ConfigError: there is none of that name, or its options are not allowed.
    """
    given = options or PolicyOptions()
    if ":" in name:
        return FunctionPolicy(
            name, given.loads, clock=given.clock, log=given.log, offset=offset
        )
    maker = POLICIES.get(name)
    if maker is None:
        allowed = ", ".join((*sorted(POLICIES), "package.module:function"))
        raise ConfigError(f"balance.policy: unknown policy {name!r}; one of: {allowed}")
    return maker(offset, given)
