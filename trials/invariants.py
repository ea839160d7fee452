"""What must hold after a soak, each a pure question to what was seen.

A finding says what was asked, whether it holds, and the figures by which anybody can
tell how nearly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trials.incidents import WORKER_KILLED, excuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trials.incidents import Incident
    from trials.ledger import Ledger
    from trials.watch import Watch

RETURN_S: Final = 30.0
"""Until all backends are UP and served again, after the last fault."""

WORST_S: Final = 12.0
"""The longest stop of a backend is 6 s, two may follow each other."""

SHARE_OFF: Final = 0.2
"""How far a backend's share may be from an even one, as a part of it."""

GROWN_KIB: Final = 24 * 1024
"""Of one process: its caches are bounded, and full well before that."""

FILES: Final = 40
"""Open files that a worker may have at rest, when all clients have left: its own, and
idle connections to the backends."""

SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant."""

    what: str
    holds: bool
    figures: str


@dataclass
class Evidence:
    """All that was seen of one soak; `counted` is what the balancer says.

    Statuses are by hundreds, 0 for requests without an answer. `rest` is what stood in
    the shared file when all clients had left: in flight, retrying, queued, connections.
    """

    ledger: Ledger
    incidents: Sequence[Incident]
    watch: Watch
    posts: Mapping[str, Counter[bytes]]
    counted: tuple[int, ...]
    rest: Mapping[str, int]
    files_at_rest: Mapping[int, int]
    return_s: float | None
    shares: Mapping[str, int]
    commands: Sequence[str]
    tracebacks: Sequence[str]
    left: Sequence[str]
    unended: str = ""
    excused: Counter[str] = field(default_factory=Counter)
    """Failed requests by what excuses them; filled by the first question."""


def check(evidence: Evidence) -> list[Finding]:
    """Every invariant, in the order in which people ask."""
    return [question(evidence) for question in QUESTIONS]


def _finding(
    what: str, wrong: Sequence[object] | Mapping[object, object], figures: str
) -> Finding:
    shown = [str(each) for each in wrong][:SHOWN]
    more = f"; {len(wrong)}: {' | '.join(shown)}" if wrong else ""
    return Finding(what, not wrong, figures + more)


def no_request_failed(evidence: Evidence) -> Finding:
    """But for those that nobody could have saved."""
    ledger, unexcused = evidence.ledger, []
    for answer in ledger.failures:
        reason = excuse(answer, evidence.incidents)
        if reason:
            evidence.excused[reason] += 1
        else:
            unexcused.append(
                f"{answer.ask.method.decode()} {answer.ask.request_id.decode()}:"
                f" {answer.status or 'no answer'} {answer.why}"
                f" {answer.fields.get(b'proxy-status', b'').decode()}"
                f" {answer.backend} after {answer.took_s:.3f} s"
            )
    unexcused += [f"{ledger.unkept} more"] * bool(ledger.unkept)
    excused = ", ".join(f"{n} {why}" for why, n in evidence.excused.items())
    return _finding(
        "no request failed without an excuse",
        unexcused,
        f"{ledger.total} requests, {ledger.bad} idempotent ones failed, excused:"
        f" {excused or 'none'}",
    )


def answers_are_right(evidence: Evidence) -> Finding:
    """Each client got the answer to its own request, every byte of it."""
    served = evidence.ledger.served.total()
    return _finding(
        "every answer is its request's own", evidence.ledger.wrong, f"{served} compared"
    )


def no_post_came_twice(evidence: Evidence) -> Finding:
    """Neither at two backends nor at one."""
    came: Counter[bytes] = Counter()
    for posts in evidence.posts.values():
        came.update(posts)
    twice = [f"POST {each.decode()}" for each, n in came.items() if n > 1]
    return _finding("no POST came twice", twice, f"{len(came)} came")


def posts_are_there(evidence: Evidence) -> Finding:
    """A POST that was answered well has come to a backend."""
    answered, came = evidence.ledger.posted[200], sum(map(len, evidence.posts.values()))
    lost = [f"{answered - came} lost"] if came < answered else []
    return _finding(
        "every answered POST came", lost, f"{answered} answered 200, {came} came"
    )


def counters_agree(evidence: Evidence) -> Finding:
    """To the request, but for what a killed worker had not counted yet, or a client
    gave up: nobody knows whether that was ever read."""
    ledger = evidence.ledger
    seen = ledger.heads
    unsure = sum(len(i.ports) for i in evidence.incidents if i.deed == WORKER_KILLED)
    wrong = []
    for hundreds, counted in enumerate(evidence.counted):
        saw = seen[hundreds]
        if not saw - unsure <= counted <= saw + unsure + ledger.abandoned:
            wrong.append(f"{hundreds}xx: {counted} counted, clients saw {saw}")
    counted, clients = sum(evidence.counted), sum(seen.values())
    if not clients - unsure <= counted <= clients + ledger.abandoned:
        wrong.append(f"{counted} counted of {clients}")
    return _finding(
        "counters agree with the clients",
        wrong,
        f"{counted} counted, {clients} asked, at most {unsure} of them uncounted,"
        f" and {ledger.abandoned} given up",
    )


def nothing_is_in_flight(evidence: Evidence) -> Finding:
    """Nor tried again, nor in a queue, nor connected."""
    left = [f"{what} {n}" for what, n in evidence.rest.items() if n]
    return _finding("nothing is in flight at the end", left, ", ".join(evidence.rest))


def backends_are_back(evidence: Evidence) -> Finding:
    """UP, served, with all of their weight, and in all workers."""
    took_s = evidence.return_s
    late = ["not in time"] if took_s is None else []
    figures = f"within {RETURN_S:g} s" if took_s is None else f"after {took_s:.1f} s"
    return _finding("every backend is UP and served again", late, figures)


def shares_are_even(evidence: Evidence) -> Finding:
    """At the end each backend gets as much as the others."""
    shares = evidence.shares
    even = sum(shares.values()) / max(1, len(shares))
    uneven = [
        f"{name} {n}" for name, n in shares.items() if abs(n - even) > SHARE_OFF * even
    ]
    figures = ", ".join(f"{name} {n}" for name, n in shares.items())
    return _finding("shares are even again", uneven or [] if shares else ["?"], figures)


def nobody_waited_long(evidence: Evidence) -> Finding:
    """The worst wait is that for a stopped backend, and no more."""
    worst = evidence.ledger.worst
    late = []
    if worst is not None and worst.took_s > WORST_S:
        late.append(f"request {worst.ask.request_id.decode()} at {worst.backend}")
    return _finding(
        "nobody waited long",
        late,
        f"worst {evidence.ledger.worst_s:.3f} s, {WORST_S:g} allowed",
    )


def nothing_has_grown(evidence: Evidence) -> Finding:
    """Memory and descriptors of workers and checker."""
    sizes = evidence.watch.sizes
    grown = [
        f"{size.what} {pid}: {size.grown_kib} KiB in {size.age_s:.0f} s"
        for pid, size in sizes.items()
        if size.grown_kib > GROWN_KIB
    ]
    grown += [
        f"{pid}: {n} files at rest"
        for pid, n in evidence.files_at_rest.items()
        if n > FILES
    ]
    most = max(sizes.values(), key=lambda size: size.grown_kib)
    return _finding(
        "memory and descriptors are bounded",
        grown,
        f"{len(sizes)} processes, most grown: {most.what} by {most.grown_kib} KiB in"
        f" {most.age_s:.0f} s; files at rest"
        f" {max(evidence.files_at_rest.values(), default=0)} at most",
    )


def budget_was_kept(evidence: Evidence) -> Finding:
    """Retries of all workers together."""
    watch = evidence.watch
    return _finding(
        "retries stayed within the budget",
        watch.over_budget,
        f"at most {watch.most_retries} at once",
    )


def commands_worked(evidence: Evidence) -> Finding:
    """Drain, ready, weight, reload and the others, whatever else went on."""
    return _finding("every command did what it was asked", evidence.commands, "")


def logs_are_clean(evidence: Evidence) -> Finding:
    """No traceback of anybody."""
    return _finding("no traceback in a log", evidence.tracebacks, "")


def nothing_is_left(evidence: Evidence) -> Finding:
    """All ended when told to, and no process or file of the balancer is left."""
    left = [
        *evidence.left,
        *([f"{evidence.unended} was killed"] * bool(evidence.unended)),
    ]
    return _finding("nothing is left behind", left, "")


QUESTIONS: Final[tuple[Callable[[Evidence], Finding], ...]] = (
    no_request_failed,
    answers_are_right,
    no_post_came_twice,
    posts_are_there,
    counters_agree,
    nothing_is_in_flight,
    backends_are_back,
    shares_are_even,
    nobody_waited_long,
    nothing_has_grown,
    budget_was_kept,
    commands_worked,
    logs_are_clean,
    nothing_is_left,
)


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """For people, one line each."""
    for finding in findings:
        verdict = "ok  " if finding.holds else "FAIL"
        yield f"{verdict} {finding.what}: {finding.figures}".rstrip(": ")
