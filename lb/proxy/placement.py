"""All the sets of one process, and which of them a request is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.errors import NoRouteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lb.balance.router import Router
    from lb.proxy.backend_set import BackendSet
    from lb.proxy.exchange import Request


class Placement:
    """The sets in the order of the settings; `router` finds a place among them."""

    def __init__(self, sets: Sequence[BackendSet], router: Router) -> None:
        self.by_name = {each.name: each for each in sets}
        self._sets = sets
        self._router = router
        self._only = sets[router.only] if router.only is not None else None

    def find(self, request: Request) -> BackendSet:
        """The set that `request` is for; costs nothing where there are no routes.

        Raises:
            NoRouteError: there is none.
        """
        if self._only is not None:
            return self._only
        place = self._router.find(request)
        if place is None:
            raise NoRouteError("no route fits, and no default set has backends")
        return self._sets[place]
