"""gevent's patch of the standard library, for a tenth of its price.

Nearly all that a worker did before its first request was `patch_all`: 0.1 s of CPU,
in all workers at once. Where it went (2-core machine, 70 distributions installed):

| what the patch does | ms | here |
| --- | ---: | --- |
| asks 25 times for plugins, reading the files of every distribution | 65 | once |
| looks for held locks among all objects, which touches all memory | 23 | frozen |
| imports gevent's versions of modules | 15 | before the fork |
| patches | 8 | |

`prepare` is for the arbiter, which stays unpatched, and `cheaply` for who patches.
Nothing is replaced for good or left out: a gevent that goes about it differently is
slower to start, no more.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES: Final = (
    "concurrent.futures.thread",
    "encodings.idna",
    "gevent.events",
    "gevent.local",
    "gevent.resolver.thread",
    "gevent.select",
    "gevent.selectors",
    "gevent.signal",
    "gevent.ssl",
    "gevent.subprocess",
    "gevent.threading",
    "gevent.threadpool",
    "gevent.time",
    "gevent.util",
)
"""What the patch and the first turns of the event loop import."""


@functools.cache
def _plugins() -> Any:
    """The entry points of all installed distributions, read by the first call."""
    return metadata.entry_points()


def prepare() -> None:
    """Do once what else every process that is forked later would do; 20 ms."""
    for name in MODULES:
        import_module(name)
    _plugins()


@contextlib.contextmanager
def cheaply() -> Iterator[None]:
    """The block patches; entry points are as they were at the first call or `prepare`.

    What is in memory by now is hidden from the garbage collector for good, and so
    from the search for locks: a process that was just started or forked holds none.
    It also keeps collections from copying the pages that are shared with the arbiter.
    """
    found = _plugins()
    gc.freeze()
    asked = metadata.entry_points
    metadata.entry_points = found.select
    try:
        yield
    finally:
        metadata.entry_points = asked
