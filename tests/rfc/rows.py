"""How cases are written: one row each, or a function where a row is not enough.

A row states what the RFC demands of any proxy. What Evenhand promises beyond it is
held against Evenhand alone: by `own=True` for a whole case, or inside a case by
`exam.is_own`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.live.client import Answer, get
from tests.rfc.exam import (
    CASE,
    SMUGGLED,
    Exam,
    answer_or_none,
    is_closed,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.scripted import Script, Talk

    Check = Callable[[Answer, Talk], None]
    Run = Callable[[Exam], None]


@dataclass(frozen=True)
class Case:
    """One question of the examination.

    `name` begins with the RFC and section. `variant` names the settings that it needs
    (`tests.rfc.variants`); `own` cases are about choices of Evenhand.
    """

    name: str
    run: Run
    own: bool = False
    variant: str = "plain"


class Table(list[Case]):
    """The cases of one subject, in order."""

    def case(
        self, name: str, *, own: bool = False, variant: str = "plain"
    ) -> Callable[[Run], Run]:
        """Add a function as a case."""

        def add(run: Run) -> Run:
            self.append(Case(name, run, own=own, variant=variant))
            return run

        return add

    def refused(
        self,
        name: str,
        data: bytes,
        *statuses: int,
        own: bool = False,
        variant: str = "plain",
        repaired: Callable[[list[Talk]], bool] | None = None,
        method: bytes = b"",
    ) -> None:
        """`data` gets an error, then the close; nothing of it reaches a backend.

        `repaired` tells from what reached the backends whether another proxy made
        it harmless instead, where the RFC allows that.
        """

        def run(exam: Exam) -> None:
            with exam.connect() as client:
                send(client, data)
                answer = answer_or_none(client, method or method_of(data))
                seen = exam.seen()
                if repaired and seen and not exam.is_own and repaired(seen):
                    assert exam.seen(SMUGGLED) == []
                    return
                assert answer is not None, "closed without an answer"
                assert answer.status in (statuses or (400,)), answer.status
                assert is_closed(client), "the connection stays open"
            exam.check_unharmed()
            exam.check_nothing_reached()

        self.append(Case(name, run, own=own, variant=variant))

    def passed(
        self,
        name: str,
        data: bytes,
        *checks: Check,
        script: Script | None = None,
        status: int = 200,
        own: bool = False,
        variant: str = "plain",
    ) -> None:
        """`data` reaches a backend once, and its answer the client."""

        def run(exam: Exam) -> None:
            if script:
                exam.script(script)
            with exam.connect() as client:
                send(client, data)
                answer = answer_or_none(client, method_of(data))
            assert answer is not None, "closed without an answer"
            assert answer.status == status, answer.status
            assert len(exam.talks) == 1, [talk.line for talk in exam.talks]
            for check in checks:
                check(answer, exam.talks[0])

        self.append(Case(name, run, own=own, variant=variant))

    def answered(
        self,
        name: str,
        wire: bytes,
        *checks: Check,
        ask: bytes = b"",
        closes: bool = False,
        own: bool = False,
        variant: str = "plain",
    ) -> None:
        """A backend says `wire` (and closes): what the client makes of it."""

        def script(talk: Talk) -> None:
            talk.read_body()
            talk.send(wire)
            if closes:
                talk.close()

        def run(exam: Exam) -> None:
            exam.script(script)
            data = ask or get(CASE)
            with exam.connect() as client:
                client.send(data)
                answer = answer_or_none(client, data.partition(b" ")[0])
            assert answer is not None, "closed without an answer"
            for check in checks:
                check(answer, exam.seen()[0])
            exam.check_unharmed()

        self.append(Case(name, run, own=own, variant=variant))

    def broken(
        self,
        name: str,
        wire: bytes,
        *,
        closes: bool = True,
        own: bool = False,
        status: int = 502,
        variant: str = "plain",
        accepts: Check | None = None,
    ) -> None:
        """A backend says `wire`, which never looks like a whole answer to the client.

        It gets an error instead, or, where the head was good, a visible break.
        `accepts` checks what others may make of it where the RFC leaves a choice.
        """

        def script(talk: Talk) -> None:
            talk.read_body()
            talk.send(wire)
            if closes:
                talk.close()
            else:
                talk.await_close()

        def run(exam: Exam) -> None:
            exam.script(script)
            with exam.connect() as client:
                client.send(get(CASE))
                answer = answer_or_none(client)
            exam.check_unharmed()
            if answer is None or not answer.is_whole:
                return
            if accepts and not exam.is_own and answer.status != status:
                accepts(answer, exam.seen()[0])
                return
            assert answer.status == status, answer.status

        self.append(Case(name, run, own=own, variant=variant))


def method_of(data: bytes) -> bytes:
    """How to read the answer to `data`: as one to HEAD, or to any other method."""
    return b"HEAD" if data.startswith(b"HEAD ") else b"GET"


# Checks of one exchange, for rows ------------------------------------------------


def line_is(line: bytes) -> Check:
    """The request line as the backend got it."""

    def check(_: Answer, talk: Talk) -> None:
        assert talk.line == line, talk.line

    return check


def sees(name: bytes, *values: bytes) -> Check:
    """The backend got these values under that name, one line each, in order."""

    def check(_: Answer, talk: Talk) -> None:
        assert talk.values(name) == list(values), talk.head

    return check


def sees_joined(name: bytes, value: bytes) -> Check:
    """The same where lines may be joined by commas."""

    def check(_: Answer, talk: Talk) -> None:
        assert b", ".join(talk.values(name)) == value, talk.head

    return check


def got_body(body: bytes) -> Check:
    """The backend got this body, decoded."""

    def check(_: Answer, talk: Talk) -> None:
        assert talk.body == body, talk.body[:80]

    return check


def is_framed_once(_: Answer, talk: Talk) -> None:
    """The backend got exactly one framing field, in its plain spelling."""
    lengths, codings = talk.values(b"content-length"), talk.values(b"transfer-encoding")
    assert len(lengths) + len(codings) == 1, talk.head
    assert codings in ([], [b"chunked"]), talk.head


def body_is(body: bytes) -> Check:
    """The client got this body, whole."""

    def check(answer: Answer, _: Talk) -> None:
        assert answer.is_whole, "cut short"
        assert answer.body == body, answer.body[:80]

    return check


def status_is(*statuses: int) -> Check:
    """The client got one of these statuses."""

    def check(answer: Answer, _: Talk) -> None:
        assert answer.status in statuses, answer.status

    return check


def gives(name: bytes, *values: bytes) -> Check:
    """The client got these values under that name, one line each, in order."""

    def check(answer: Answer, _: Talk) -> None:
        assert answer.values(name) == list(values), answer.raw

    return check


def gives_no(*names: bytes) -> Check:
    """The client got no field of these names."""

    def check(answer: Answer, _: Talk) -> None:
        got = {n.lower() for n, _ in answer.raw}
        assert not got & {n.lower() for n in names}, answer.raw

    return check


def interim_is(*statuses: int) -> Check:
    """The client got these interim responses first."""

    def check(answer: Answer, _: Talk) -> None:
        assert answer.interim == list(statuses), answer.interim

    return check
