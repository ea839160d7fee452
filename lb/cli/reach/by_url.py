"""A balancer anywhere, by the admin process beside it.

The process does what the commands do, by the same functions; it is only asked. What a
change waits for is looked at from here, so that nothing depends on one long answer.
"""

from __future__ import annotations

import json
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from lb import native
from lb.cli.reach.http import Http, NotThereError
from lb.cli.reach.operator import Happened, News, Story
from lb.errors import LbError, OperationError, ReachError, StateFileError
from lb.operating import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from threading import Event

    from lb.cli.reach.messages import Message
    from lb.cli.reach.operator import Wanted, Which
    from lb.model import Wish
    from lb.report import Report

POLL_S: Final = 0.25
POLL_SHARE: Final = 4
"""A pause is so many times as long as the look before it: the process is not ours."""

AGAIN_S: Final = 1.0
"""From a broken stream to the next try."""

PATIENCE_S: Final = 10.0
"""How long a wait goes on without an answer: the change itself was made long ago."""

MOST_REQUESTS: Final = 10_000
"""As many as the API lists."""


class UrlOperator:
    """The balancer whose admin process listens at a URL; see `Operator`."""

    def __init__(self, url: str, token: str = "") -> None:
        self._http = Http(url, token)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def status(self, names: Sequence[str] = ()) -> Report:
        """See `Operator`."""
        report = self._http.get("status")
        if names:
            explained = {each["id"]: each for each in self._explained(names)}
            report["backends"] = [
                explained[each["id"]]
                for each in report["backends"]
                if each["id"] in explained
            ]
        return report

    def _explained(self, names: Sequence[str]) -> list[Report]:
        """These backends with their health; all that are unknown are told at once."""
        found, unknown = [], []
        for name in names:
            try:
                found.append(self._http.get("backends", name))
            except NotThereError as error:
                unknown.append(str(error))
        if unknown:
            raise OperationError("\n".join(unknown))
        return found

    def names(self) -> list[str]:
        """See `Operator`."""
        return [each["name"] for each in self._http.get("backends")["backends"]]

    def requests(self, which: Which) -> list[Report]:
        """See `Operator`."""
        query = {
            "slow": which.slow_s,
            "failed": "true" if which.failed else None,
            "backend": which.backend,
            "limit": min(which.limit, MOST_REQUESTS),
        }
        found: list[Report] = self._http.get("requests", query=query)["requests"]
        return found

    def explain(self, request_id: str) -> Story:
        """See `Operator`."""
        try:
            return Story(self._http.get("requests", request_id)["requests"])
        except NotThereError as error:
            return Story(nothing=str(error))

    def events(self, backend: str | None, limit: int) -> Happened:
        """See `Operator`."""
        query = {"backend": backend, "limit": max(1, limit)}
        found = self._http.get("events", query=query)
        return Happened(found["events"] if limit else [], found["cursor"])

    def follow(self, cursor: str) -> Iterator[News]:
        """See `Operator`."""
        reached = cursor

        def once() -> Iterator[Message]:
            nonlocal reached
            for message in self._http.stream("events", "stream", last_id=reached):
                reached = message.last_id or reached
                yield message

        # Who has a cursor was answered before: what fails now may come again.
        return _endlessly(once, has_begun=True)

    def snapshots(self, stop: Event) -> Iterator[News]:
        """See `Operator`."""
        for news in _endlessly(lambda: self._http.stream("stream")):
            if stop.is_set():
                return
            yield news

    def set_wish(
        self, names: Sequence[str] | None, wish: Wish, *, wait_s: float | None
    ) -> OverUrlMade:
        """See `Operator`."""
        # Before the change: what is cut from now on is cut by it.
        before = {} if wait_s is None else _cut(self._http.get("status"))
        made = self._change(
            {"change": wish.name.lower(), **_named(names)},
            query={} if wait_s is None else {"wait": wait_s},
            headers={"Prefer": "respond-async"},
        )
        made.cut_before = before
        return made

    def set_weight(self, names: Sequence[str] | None, weight: int) -> OverUrlMade:
        """See `Operator`."""
        return self._change({"change": "weight", "weight": weight, **_named(names)})

    def add(self, wanted: Sequence[Wanted]) -> OverUrlMade:
        """See `Operator`."""
        backends = [
            {
                "backend": each.text,
                "weight": each.weight,
                "set": each.group,
                "max_in_flight": each.max_in_flight,
                "backup": each.backup,
            }
            for each in wanted
        ]
        return self._change({"change": "add", "backends": backends})

    def _change(
        self,
        body: Report,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> OverUrlMade:
        report = self._http.post("changes", body=body, query=query, headers=headers)
        return OverUrlMade(self._http, report)

    def plan(self) -> Report:
        """See `Operator`."""
        return self._http.get("plan")

    def reload(self, timeout_s: float) -> Report:
        """See `Operator`."""
        return self._http.post("reload", query={"wait": timeout_s}, within_s=timeout_s)


class OverUrlMade:
    """A change that an admin process made, watched by its status; see `Made`."""

    def __init__(self, http: Http, report: Report) -> None:
        self.report = report
        self.poll_s = POLL_S
        self.cut_before: dict[int, int] = {}
        self._http = http
        self._names = [each["name"] for each in report["backends"]]
        self._seen: Report = {"backends": [], "workers": []}

    def standing(self) -> Standing:
        """See `Watched`."""
        self._seen = self._look()
        in_flight = {each["name"]: each["in_flight"] for each in self._mine()}
        made_in = self.report["generation"]
        behind = sum(w["generation_seen"] < made_in for w in self._seen["workers"])
        return Standing({name: in_flight.get(name, 0) for name in self._names}, behind)

    def _look(self) -> Report:
        """The status of now; an admin process that is started again is waited for."""
        give_up = monotonic() + PATIENCE_S
        while True:
            began = monotonic()
            try:
                found = self._http.get("status")
            except (ReachError, StateFileError):
                if monotonic() >= give_up:
                    raise
                native.sleep(AGAIN_S)
            else:
                self.poll_s = max(POLL_S, POLL_SHARE * (monotonic() - began))
                return found

    def _mine(self) -> list[Report]:
        mine = set(self._names)
        return [each for each in self._seen["backends"] if each["name"] in mine]

    def readied(self) -> str:
        """See `Watched`."""
        ready = (each["name"] for each in self._mine() if each["wish"] == "ready")
        return next(ready, "")

    def not_up(self) -> tuple[str, ...]:
        """See `Watched`."""
        return tuple(
            each["name"]
            for each in self._mine()
            if each["verdict"] != "up" or each["ejected"]
        )

    def cut(self) -> int:
        """See `Watched`."""
        mine = {each["id"] for each in self._mine()}
        return sum(
            count - self.cut_before.get(key, 0)
            for key, count in _cut(self._seen).items()
            if key in mine
        )

    def remove(self) -> None:
        """See `Made`."""
        self._http.post("changes", body={"change": "remove", "names": self._names})


def _named(names: Sequence[str] | None) -> Report:
    return {"all": True} if names is None else {"names": list(names)}


def _cut(report: Report) -> dict[int, int]:
    return {each["id"]: each["cut"] for each in report["backends"]}


def _endlessly(
    stream: Callable[[], Iterator[Message]], *, has_begun: bool = False
) -> Iterator[News]:
    """What streams bring, one after another; an error before the first is raised."""
    while True:
        trouble = "the stream ended"
        try:
            for message in stream():
                has_begun = True
                if (news := _news(message)) is not None:
                    yield news
        except LbError as error:
            if not has_begun:
                raise
            trouble = str(error)
        yield News(trouble=trouble)
        native.sleep(AGAIN_S)


def _news(message: Message) -> News | None:
    """What a message tells; None of what only begins a stream."""
    try:
        told = json.loads(message.data)
        if message.kind in ("transition", "snapshot"):
            return News(told)
        if message.kind == "lost":
            return News(lost=int(told["lost"]))
        if message.kind == "unavailable":
            return News(trouble=str(told["detail"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ReachError(f"a message of the stream cannot be read: {error}") from error
    return None
