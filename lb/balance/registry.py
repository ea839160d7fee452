"""The policies by the name that the settings use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lb.balance.round_robin import RoundRobin
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lb.balance.policy import Policy

POLICIES: Final[dict[str, Callable[[int], Policy[Any]]]] = {
    "round_robin": RoundRobin,
}
"""Name to maker; the maker is given the process's offset."""


def make_policy(name: str, *, offset: int) -> Policy[Any]:
    """The policy called `name`, for the process whose number is `offset`.

    Raises:
        ConfigError: there is none of that name.
    """
    maker = POLICIES.get(name)
    if maker is None:
        allowed = ", ".join(sorted(POLICIES))
        raise ConfigError(f"balance.policy: unknown policy {name!r}; one of: {allowed}")
    return maker(offset)
