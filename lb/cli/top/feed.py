"""Snapshots in the background, and changes that must not stop the screen.

Threads put what they find where the screen looks a few times a second; none of them
ever waits for it, nor it for them.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final

from lb.cli.printing import plain
from lb.cli.reach.operator import News
from lb.errors import LbError, StateFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.cli.reach import Reach
    from lb.cli.reach.operator import Operator
    from lb.model import Wish
    from lb.report import Report

STALE_S: Final = 3.0
"""Figures that are older are not shown as those of now. They come each second."""

END_HERE_S: Final = 2.0
END_THERE_S: Final = 0.1
"""How long the thread is waited for: in the middle of the shared file, that must not be
closed; in the middle of a connection, nobody minds."""


class Feed:
    """The latest snapshot of a stream, and what is wrong with the stream."""

    def __init__(self, operator: Operator, *, is_far: bool) -> None:
        self._stop = threading.Event()
        self._news = operator.snapshots(self._stop)
        self._end_s = END_THERE_S if is_far else END_HERE_S
        self._told_at = monotonic()
        self.told: Report | None = None
        self.count = 0
        """How many snapshots there were; `told` is another when it has risen."""
        self.trouble = ""
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def begin(self) -> Report:
        """The first snapshot; from then on a thread reads.

        Raises:
            LbError: there is none to be had.
        """
        first = next_of(self._news)
        self._take(News(first))
        self._thread.start()
        return first

    def end(self) -> None:
        """Read no more; the thread ends, or is left alone."""
        self._stop.set()
        self._thread.join(self._end_s)

    @property
    def age_s(self) -> float:
        """How long ago the latest snapshot came."""
        return monotonic() - self._told_at

    @property
    def is_stale(self) -> bool:
        """Whether what is shown is not of now."""
        return bool(self.trouble) or self.age_s > STALE_S

    def check(self) -> None:
        """Raise what ended the thread, if it was a mistake of ours."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            for news in self._news:
                self._take(news)
            self.trouble = "the stream has ended"
        except LbError as error:
            self.trouble = str(error)
        except Exception as error:  # noqa: BLE001 - `check` raises it on the screen
            self._failure = error

    def _take(self, news: News) -> None:
        self.trouble = news.trouble
        if news.told is not None:
            self.told, self._told_at = news.told, monotonic()
            self.count += 1


def next_of(news: Iterator[News]) -> Report:
    """The next snapshot. Raises: StateFileError: there is none to be had."""
    found = next(news)
    if found.told is None:
        raise StateFileError(found.trouble)
    return found.told


class Deeds:
    """Changes asked for from the screen, one at a time, and how each went."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._over: SimpleQueue[str] = SimpleQueue()
        self.under_way = ""

    def begin(self, name: str, wish: Wish) -> None:
        """Ask for a wish in a thread of its own; nothing while another is asked for."""
        if self.under_way:
            return
        self.under_way = f"{name}: {wish.name.lower()}"
        threading.Thread(
            target=self._do, args=(name, wish), name="deed", daemon=True
        ).start()

    def over(self) -> str:
        """What became of it, once; empty while there is nothing to tell."""
        if self._over.empty():
            return ""
        self.under_way = ""
        return self._over.get()

    def _do(self, name: str, wish: Wish) -> None:
        try:
            with self._reach.opened() as operator:
                made = operator.set_wish([name], wish, wait_s=None)
            (was,) = made.report["backends"]
            text = f"{name}: {wish.name.lower()}; was {was['wish_before']}"
        except LbError as error:
            text = str(error)
        except Exception as error:  # noqa: BLE001 - told to who asked for it
            text = f"{type(error).__name__}: {error}"
        self._over.put(plain(text))
