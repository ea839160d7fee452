"""Clients and backends that do all kinds of things, and count all of it for themselves.

They know nothing of the balancer's own counting: a backend counts what came to it and
what it answered, a client what it sent and what it got. What one does is said by the
target, so both sides of a request agree on it without a word.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.live.client import in_chunks
from tests.live.scripted import ScriptedBackend
from tests.waiting import DEADLINE_S

if TYPE_CHECKING:
    from tests.live.scripted import Script, Talk

STATUSES = {
    "/ok": 200, "/echo": 201, "/moved": 302, "/missing": 404, "/broken": 500,
    "/chunked": 200, "/drop-once": 200,
}  # fmt: skip
"""What backends answer; `/drop-once` when they are asked a second time."""

KINDS = (
    ("GET", "/ok"), ("HEAD", "/ok"), ("GET", "/moved"), ("GET", "/missing"),
    ("GET", "/broken"), ("GET", "/chunked"), ("POST", "/echo"), ("PUT", "/echo"),
    ("GET", "/drop-once"), ("POST", "/drop"),
)  # fmt: skip


class _Every(dict[bytes, "Script"]):
    """The same script for every target."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def get(self, key: bytes, default: Any = None) -> Any:
        return self._script


class Backend(ScriptedBackend):
    """Does as the target says; `counts` has what came and what was answered."""

    def __init__(self, name: str, dropped: set[str]) -> None:
        super().__init__(name)
        self.counts: Counter[str] = Counter()
        self.scripts = _Every(self._answer)
        self._dropped = dropped
        self._lock = threading.Lock()

    def _count(self, **numbers: int) -> None:
        with self._lock:
            self.counts.update(numbers)

    def _answer(self, talk: Talk) -> None:
        self._count(requests=1)
        target = urlsplit(talk.target.decode())
        received = len(talk.read_body())
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        if self._is_dropped(target.path, asked):
            self._count(dropped=1, received=received)
            talk.close()
            return
        status = STATUSES[target.path]
        body = talk.body if target.path == "/echo" else b"x" * int(asked["size"])
        is_head = talk.line.startswith(b"HEAD ")
        self._count(
            received=received, sent=0 if is_head else len(body), **{f"{status}": 1}
        )
        talk.send(_response(target.path, status, body, self.name, is_head=is_head))

    def _is_dropped(self, path: str, asked: dict[str, str]) -> bool:
        with self._lock:
            is_new = asked["id"] not in self._dropped
            self._dropped.add(asked["id"])
        return path == "/drop" or (path == "/drop-once" and is_new)


def _response(
    path: str, status: int, body: bytes, name: str, *, is_head: bool
) -> bytes:
    head = b"HTTP/1.1 %d x\r\nX-Backend: %b\r\n" % (status, name.encode())
    if path == "/chunked":
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body, 700)
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    return head if is_head else head + body


CLIENTS = 6


class Clients:
    """Some threads that ask for things by chance, until they are told to stop.

    `counts` has all that they sent and got, by backend where one answered; `lost`
    counts requests whose connection broke: nobody here knows what became of them.
    """

    def __init__(self, port: int, *, count: int = CLIENTS, keeps_alive: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.lost = 0
        self._port = port
        self._count = count
        self._keeps_alive = keeps_alive
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._begun = 0

    @property
    def answered(self) -> int:
        """Requests that got an answer."""
        return self.counts["requests"]

    def start(self) -> None:
        """Ask until `stop`."""
        self._stop.clear()
        for _ in range(self._count):
            self._begun += 1
            chance = random.Random(self._begun)
            thread = threading.Thread(
                target=self._run, args=(f"c{self._begun}", chance), daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all, each with its present request, and close their connections."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * DEADLINE_S)
            assert not thread.is_alive(), "a request takes too long"
        self._threads.clear()

    def _run(self, name: str, chance: random.Random) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE_S)
        number = 0
        while not self._stop.is_set():
            number += 1
            method, path = chance.choice(KINDS)
            size = chance.choice((0, 1, 300, 5000, 60_000))
            target = f"{path}?id={name}.{number}&size={size}"
            try:
                self._ask(connection, method, target, size)
            except (OSError, HTTPException):
                with self._lock:
                    self.lost += 1
                connection.close()
                self._stop.wait(0.02)
            if not self._keeps_alive:
                connection.close()
        connection.close()

    def _ask(
        self, connection: HTTPConnection, method: str, target: str, size: int
    ) -> None:
        body = b"y" * size if method in ("POST", "PUT") else None
        fields = {} if self._keeps_alive else {"Connection": "close"}
        if method == "PUT":
            pieces = iter([body[: size // 2], body[size // 2 :]] if body else [])
            connection.request(method, target, pieces, fields, encode_chunked=True)
        else:
            connection.request(method, target, body, fields)
        answer = connection.getresponse()
        got = answer.read()
        self._note(answer.status, answer.headers, sent=len(body or b""), got=len(got))

    def _note(self, status: int, fields: Any, *, sent: int, got: int) -> None:
        backend = fields["X-Backend"] or ""
        with self._lock:
            self.counts["requests"] += 1
            self.counts[f"{status // 100}xx"] += 1
            self.counts["uploaded"] += sent
            if backend:
                self.counts[f"{backend} {status // 100}xx"] += 1
                self.counts[f"{backend} downloaded"] += got
            else:
                reason = fields["Proxy-Status"].partition("error=")[2].partition(";")[0]
                self.counts[f"own {reason}"] += 1
