"""What the settings say about where requests go, as policies and a router.

Settings and policies know nothing of each other; here one is made of the other, for
every set, and a mistake that only the policy finds is told with the key's whole path.
"""

from __future__ import annotations

import sys
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from lb.balance.options import PolicyOptions
from lb.balance.policy import NoLoads
from lb.balance.registry import make_policy
from lb.balance.router import Router
from lb.balance.set_cookie import CookieAttributes
from lb.config.sets import DEFAULT, key_in_set
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lb.balance.policy import Loads, Policy
    from lb.config import Balance, SetSettings, Settings


def policy_options(
    balance: Balance,
    *,
    loads: Loads[Any] | None = None,
    chance: Random | None = None,
    clock: Callable[[], float] = monotonic,
) -> PolicyOptions:
    """What a policy is told, of a `[balance]` section.

    Raises:
        ConfigError: the cookie that it describes would be refused by browsers.
    """
    options: dict[str, Any] = {}
    if balance.policy == "sticky":
        # Only who uses the cookie has to describe one that browsers take.
        options["sticky_cookie"] = _cookie(balance)
    return PolicyOptions(
        hash_key=balance.hash_key,
        hash_balance_factor=balance.hash_balance_factor,
        sticky_keys=[key.encode() for key in balance.sticky.keys],
        sticky_policy=balance.sticky.policy,
        loads=loads or NoLoads(),
        chance=chance or Random(),  # noqa: S311 - it keeps no secret
        clock=clock,
        **options,
    )


def _cookie(balance: Balance) -> CookieAttributes:
    sticky = balance.sticky
    return CookieAttributes(
        name=sticky.name,
        path=sticky.path,
        secure=sticky.secure,
        http_only=sticky.http_only,
        same_site=sticky.same_site,
        max_age_s=sticky.max_age,
    )


def policy_of(
    each: SetSettings, *, offset: int, loads: Loads[Any] | None = None, folder: Path
) -> Policy[Any]:
    """A set's policy, for the process whose number is `offset`.

    A function of the operator's own is imported from the working `folder` as well.

    Raises:
        ConfigError: the settings do not make a policy; the message names the key.
    """
    balance = each.balance
    if ":" in balance.policy + balance.sticky.policy:
        _make_importable(folder)
    try:
        options = policy_options(balance, loads=loads)
        return make_policy(balance.policy, offset=offset, options=options)
    except ConfigError as error:
        if each.name == DEFAULT:
            raise
        raise ConfigError(key_in_set(each.name, str(error))) from error


def _make_importable(folder: Path) -> None:
    # First, as gunicorn does it: so `lb check` imports what workers will.
    place = str(folder.absolute())
    if place not in sys.path:
        sys.path.insert(0, place)


def check_policies(settings: Settings) -> None:
    """Say which sets have a policy that cannot be made; imports functions.

    A default set without backends is none that anybody uses.

    Raises:
        ConfigError: with one line for each.
    """
    wrong = []
    for each in settings.sets:
        try:
            if each.backends:
                policy_of(each, offset=0, folder=settings.folder)
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))


def router_of(settings: Settings) -> Router:
    """The router of the settings; what it finds is a place in `settings.sets`.

    What no route is for goes to the default set, if that has backends.
    """
    names = [each.name for each in settings.sets]
    fallback = DEFAULT if settings.backends else ""
    return Router(settings.routes, names, fallback=fallback)
