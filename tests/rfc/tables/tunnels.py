"""Upgrade, and the tunnel behind 101 (RFC 9110 section 7.8, RFC 6455)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.live.client import get
from tests.live.scripted import GoneError
from tests.rfc.exam import CASE, SMUGGLED, Exam, is_closed, is_gone
from tests.rfc.rows import Table, sees
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.live.client import Client
    from tests.live.scripted import Talk

CASES = Table()
case, passed = CASES.case, CASES.passed

WISH = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def echo(talk: Talk) -> None:
    """Switch, then say back what comes, until the client has said its last."""
    talk.send(SWITCHED)
    try:
        while True:
            talk.send(talk.read())
    except GoneError:
        talk.close()


def read_until(client: Client, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = client.sock.recv(65536)
        assert piece, f"closed after {data!r}"
        data += piece
    return data


def switch(client: Client, *behind: bytes) -> bytes:
    """What comes with the 101, after `behind` was sent with the request."""
    client.send(get(CASE, *WISH) + b"".join(behind))
    head, _, rest = read_until(client, b"\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    return rest


@case("9110-7.8-101-is-relayed-with-its-fields")
def _(exam: Exam) -> None:
    exam.script(echo)
    with exam.connect() as client:
        client.send(get(CASE, *WISH))
        head = read_until(client, b"\r\n\r\n").lower()
    assert head.startswith(b"http/1.1 101 ")
    assert b"\r\nupgrade: websocket\r\n" in head
    assert b"\r\nconnection: upgrade\r\n" in head
    assert b"\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n" in head


@case("9110-7.8-the-wish-is-relayed-with-its-fields")
def _(exam: Exam) -> None:
    exam.script(echo)
    with exam.connect() as client:
        switch(client)
    (talk,) = exam.seen()
    assert [v.lower() for v in talk.values(b"upgrade")] == [b"websocket"]
    assert [v.lower() for v in talk.values(b"connection")] == [b"upgrade"]
    assert talk.values(b"sec-websocket-version") == [b"13"]


@case("6455-5-bytes-go-both-ways")
def _(exam: Exam) -> None:
    exam.script(echo)
    with exam.connect() as client:
        switch(client)
        for message in (b"one", b"\x81\x00\xff", b"GET / HTTP/1.1\r\n\r\n"):
            client.send(message)
            assert read_until(client, message) == message


@case("6455-4-bytes-right-behind-the-request")
def _(exam: Exam) -> None:
    """A client may speak the new protocol in the same packet."""
    exam.script(echo)
    with exam.connect() as client:
        rest = switch(client, b"early bytes")
        while b"early bytes" not in rest:
            rest += client.sock.recv(65536)
    assert rest == b"early bytes"


@case("6455-4-bytes-right-behind-the-101")
def _(exam: Exam) -> None:
    def eager(talk: Talk) -> None:
        talk.send(SWITCHED + b"eager bytes")
        talk.await_close()

    exam.script(eager)
    with exam.connect() as client:
        rest = switch(client)
        while b"eager bytes" not in rest:
            rest += client.sock.recv(65536)
    assert rest == b"eager bytes"


@case("6455-5-a-mebibyte-each-way")
def _(exam: Exam) -> None:
    data = bytes(range(256)) * 4096

    def script(talk: Talk) -> None:
        talk.send(SWITCHED)
        got = b""
        while len(got) < len(data):
            got += talk.read()
        talk.send(got)
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        switch(client)
        client.send(data)
        got = b""
        while piece := client.sock.recv(65536):
            got += piece
    assert got == data


@case("9110-7.8-half-close-by-the-client")
def _(exam: Exam) -> None:
    """The backend hears the client's end, and may still speak."""

    def script(talk: Talk) -> None:
        talk.send(SWITCHED)
        got = b""
        try:
            while True:
                got += talk.read()
        except GoneError:
            talk.send(b"last words after " + got)
            talk.close()

    exam.script(script)
    with exam.connect() as client:
        switch(client)
        client.send(b"my last")
        client.sock.shutdown(socket.SHUT_WR)
        assert read_until(client, b"my last") == b"last words after my last"
        assert is_closed(client)


@case("9110-7.8-half-close-by-the-backend", own=True)
def _(exam: Exam) -> None:
    """The client hears the backend's end, and may still speak."""
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.send(SWITCHED + b"my last")
        talk.sock.shutdown(socket.SHUT_WR)
        data = b""
        try:
            while True:
                data += talk.read()
        except GoneError:
            got.append(data)
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        rest = switch(client)
        while piece := client.sock.recv(65536):
            rest += piece
        assert rest == b"my last"
        client.send(b"last words")
        client.sock.shutdown(socket.SHUT_WR)
        wait_for(lambda: got, "the client's last words")
    assert got == [b"last words"]


@case("9110-7.8-end-of-the-client-ends-the-tunnel")
def _(exam: Exam) -> None:
    gone: list[bool] = []

    def script(talk: Talk) -> None:
        talk.send(SWITCHED)
        gone.append(is_gone(talk))
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        switch(client)
    wait_for(lambda: gone, "the end of the tunnel")
    assert gone == [True]


@case("9110-7.8-end-of-the-backend-ends-the-tunnel")
def _(exam: Exam) -> None:
    exam.script(lambda talk: (talk.send(SWITCHED), talk.close())[0])
    with exam.connect() as client:
        switch(client)
        assert is_closed(client)


@case("9110-7.8-reset-of-the-backend-ends-the-tunnel")
def _(exam: Exam) -> None:
    def script(talk: Talk) -> None:
        talk.send(SWITCHED)
        talk.read()
        talk.reset()

    exam.script(script)
    with exam.connect() as client:
        switch(client)
        client.send(b"x")
        assert is_closed(client)
    exam.check_unharmed()


@case("9110-7.8-idle-tunnel-is-cut", own=True, variant="short")
def _(exam: Exam) -> None:
    """After `timeouts.idle` without a byte either way, and not before."""
    gone: list[bool] = []

    def script(talk: Talk) -> None:
        talk.send(SWITCHED)
        gone.append(is_gone(talk))
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        switch(client)
        assert is_closed(client)
    wait_for(lambda: gone, "the end of the tunnel")
    assert gone == [True]


@case("9110-7.8-refused-upgrade-is-an-ordinary-answer")
def _(exam: Exam) -> None:
    with exam.connect() as client:
        answer = client.ask(get(CASE, *WISH))
        assert (answer.status, answer.body) == (200, CASE)
        assert client.ask(get(b"/next")).body == b"/next"


@case("9110-15.5.22-426-keeps-its-upgrade")
def _(exam: Exam) -> None:
    """A 426 MUST have an Upgrade field."""

    def script(talk: Talk) -> None:
        talk.reply(
            b"",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            status=b"426 Upgrade Required",
        )

    exam.script(script)
    answer = exam.ask(get(CASE))
    assert answer.status == 426
    assert answer.values(b"upgrade") == [b"websocket"]


@case("6455-4.1-refused-version-is-an-ordinary-answer")
def _(exam: Exam) -> None:
    def script(talk: Talk) -> None:
        talk.reply(b"", b"Sec-WebSocket-Version: 13", status=b"400 Bad Request")

    exam.script(script)
    with exam.connect() as client:
        answer = client.ask(get(CASE, *WISH))
        assert answer.status == 400
        assert answer.values(b"sec-websocket-version") == [b"13"]


@case("9110-7.8-refused-upgrade-hides-no-request")
def _(exam: Exam) -> None:
    """What follows a refused upgrade goes through the proxy as a request."""
    exam.script(lambda talk: talk.reply(b"no", status=b"403 Forbidden"))
    with exam.connect() as client:
        client.send(get(CASE, *WISH))
        assert client.answer().status == 403
        client.send(get(b"/next", b"Connection: X-Mine", b"X-Mine: 1"))
        assert client.answer().body == b"/next"
    if exam.is_own:
        assert exam.seen(b"/next")[0].values(b"x-mine") == []


@case("9110-7.8-any-protocol-can-be-asked-for")
def _(exam: Exam) -> None:
    def script(talk: Talk) -> None:
        talk.send(SWITCHED.replace(b"websocket", b"custom/2"))
        talk.send(talk.read())
        talk.close()

    exam.script(script)
    with exam.connect() as client:
        client.send(get(CASE, b"Connection: keep-alive, Upgrade", b"Upgrade: custom/2"))
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        client.send(b"hello")
        assert read_until(client, b"hello") == b"hello"


for name, lines in {
    "alone": (b"Connection: Upgrade", b"Upgrade: h2c"),
    "with-settings": (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    ),
    "in-capitals": (b"Connection: Upgrade", b"Upgrade: H2C"),
}.items():
    passed(
        f"9113-3.1-h2c-{name}-is-not-passed-on",
        get(CASE, *lines),
        sees(b"upgrade"),
        sees(b"http2-settings"),
        own=True,
    )

passed(
    "9110-7.8-http-1.0-upgrade-is-ignored",
    get(CASE, *WISH).replace(b"HTTP/1.1", b"HTTP/1.0"),
    sees(b"upgrade"),
)
passed(
    "9110-7.8-upgrade-not-named-by-connection-is-ignored",
    get(CASE, *WISH[1:]),
    sees(b"upgrade"),
)


@case("9110-7.8-101-without-a-protocol-is-no-answer", own=True)
def _(exam: Exam) -> None:
    """A server that switches MUST say to what."""
    exam.script(
        lambda talk: (talk.send(b"HTTP/1.1 101 Switching\r\n\r\n"), talk.close())[0]
    )
    assert exam.ask(get(CASE, *WISH)).status == 502


@case("9110-7.8-in-flight-while-the-tunnel-lasts", own=True)
def _(exam: Exam) -> None:
    exam.script(echo)
    server = exam.server
    assert server is not None
    with exam.connect() as client:
        switch(client)
        assert server.in_flight() == 1
    wait_for(lambda: server.in_flight() == 0, "the tunnel's end to be counted")


@case("9112-9.3.2-pipelined-behind-a-taken-upgrade-is-tunnelled")
def _(exam: Exam) -> None:
    """Bytes behind an upgrade that is taken belong to the new protocol."""
    exam.script(echo)
    with exam.connect() as client:
        rest = switch(client, get(SMUGGLED))
        while len(rest) < len(get(SMUGGLED)):
            rest += client.sock.recv(65536)
    assert rest == get(SMUGGLED)
    assert exam.seen(SMUGGLED) == []
