"""A policy that is a plain Python function of the operator's own.

It is given the candidates and the request, and returns one of the candidates. What
goes wrong in it never reaches a client: an exception, or anything returned that is
none of the candidates, makes round robin choose instead. It runs inside the serving
process, where all other requests wait for it: one that takes longer than a
millisecond is told in the log, and nothing stops it.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, Final, Generic

from lb.balance.complaint import Complaint
from lb.balance.policy import C, Loads, Policy
from lb.balance.round_robin import RoundRobin
from lb.errors import ConfigError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Sequence

    from lb.balance.ask import Ask

SLOW_S: Final = 0.001
"""Thirty times what a whole request costs otherwise."""


class Seen(Generic[C]):
    """A candidate as the function sees it; nothing can be changed."""

    __slots__ = ("_candidate", "_loads")

    def __init__(self, candidate: C, loads: Loads[C]) -> None:
        self._candidate = candidate
        self._loads = loads

    def __repr__(self) -> str:
        return f"<candidate {self.name}>"

    @property
    def name(self) -> str:
        """As in the settings."""
        return self._candidate.name

    @property
    def weight(self) -> int:
        """Its share relative to the others, 1 to 256."""
        return self._candidate.weight

    @property
    def in_flight(self) -> int:
        """Requests under way there now, over all workers. Counted when asked."""
        return self._loads.in_flight(self._candidate)

    @property
    def head_time_s(self) -> float:
        """Seconds to a response head, lately; 0.0 while unknown."""
        return self._loads.head_time_s(self._candidate)


class FunctionPolicy(Policy[C]):
    """See the module. `word` is `package.module:function`, imported here and now.

    Raises:
        ConfigError: it cannot be imported, or is not a plain function.
    """

    needs_ask = True

    def __init__(
        self,
        word: str,
        loads: Loads[C],
        *,
        clock: Callable[[], float],
        log: logging.Logger,
        offset: int = 0,
    ) -> None:
        self._function = load_function(word)
        self._word = word
        self._loads = loads
        self._clock = clock
        self._fallback: RoundRobin[C] = RoundRobin(offset)
        self._failed = Complaint(log, clock)
        self._slow = Complaint(log, clock)
        self._now: tuple[tuple[Seen[C], ...], dict[Seen[C], C]] = ((), {})

    @property
    def failures(self) -> int:
        """How often round robin had to choose instead."""
        return self._failed.count

    @property
    def slow_calls(self) -> int:
        """How often the function took longer than a millisecond."""
        return self._slow.count

    def update(self, candidates: Sequence[C]) -> None:
        """See `Policy.update`."""
        self._fallback.update(candidates)
        by_seen = {Seen(c, self._loads): c for c in candidates}
        self._now = (tuple(by_seen), by_seen)

    def choose(self, ask: Ask) -> C:
        """See `Policy.choose`. What the function takes, and 0.5 us."""
        seen, by_seen = self._now
        chosen = self._ask_function(seen, by_seen, ask)
        return self._fallback.choose(ask) if chosen is None else chosen

    def choose_without(self, ask: Ask, without: Collection[C]) -> C | None:
        """See `Policy.choose_without`; the function is given those that are left."""
        _, by_seen = self._now
        left = {seen: c for seen, c in by_seen.items() if c not in without}
        if not left:
            return None
        chosen = self._ask_function(tuple(left), left, ask)
        if chosen is None:
            return self._fallback.choose_without(ask, without)
        return chosen

    def inputs(self, ask: Ask, candidate: C) -> str:
        """See `Policy.inputs`; whatever the function may look at."""
        seen = Seen(candidate, self._loads)
        return (
            f"weight={seen.weight} in_flight={seen.in_flight}"
            f" head_time_ms={seen.head_time_s * 1000:.1f}"
        )

    def _ask_function(
        self, seen: Sequence[Seen[C]], by_seen: dict[Seen[C], C], ask: Ask
    ) -> C | None:
        """What the function chooses, or None if it fails."""
        begun = self._clock()
        try:
            returned = self._function(seen, ask)
            chosen = by_seen.get(returned)
        except Exception as error:  # noqa: BLE001 - it is not ours and may do anything
            self._fail(f"it raised {type(error).__name__}", error)
            return None
        took_s = self._clock() - begun
        if took_s > SLOW_S:
            self._slow.make(
                f"balance.policy: {self._word} took {took_s * 1000:.1f} ms; all other"
                f" requests of its process wait for it"
            )
        if chosen is None:
            what = type(returned).__name__
            self._fail(f"it returned a {what} that is none of the candidates")
        return chosen

    def _fail(self, why: str, error: Exception | None = None) -> None:
        self._failed.make(
            f"balance.policy: {self._word} failed and round robin chose: {why}", error
        )


def load_function(word: str) -> Callable[[Any, Ask], Any]:
    """The function that `package.module:function` names.

    Raises:
        ConfigError: it cannot be imported, or is not a plain function.
    """
    module_name, _, name = word.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the operator's own may raise anything
        raise _unusable(
            word, f"importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, name, None)
    if function is None:
        raise _unusable(word, f"{module_name} has no {name!r}")
    if not callable(function):
        raise _unusable(word, "it cannot be called")
    if inspect.iscoroutinefunction(function):
        raise _unusable(word, "it is a coroutine; a policy is a plain function")
    return function  # type: ignore[no-any-return]


def _unusable(word: str, why: str) -> ConfigError:
    return ConfigError(f"balance.policy: cannot use {word!r}: {why}")
