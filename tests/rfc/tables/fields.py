"""Fields on the way: hop-by-hop, Via, forwarding, order (RFC 9110 5-7, 7239)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.live.client import get, in_chunks, request
from tests.rfc.exam import CASE, Exam
from tests.rfc.rows import (
    Table,
    gives,
    gives_no,
    sees,
    sees_joined,
    status_is,
)

if TYPE_CHECKING:
    from tests.live.scripted import Talk

CASES = Table()
refused, passed, answered, case = (
    CASES.refused,
    CASES.passed,
    CASES.answered,
    CASES.case,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"

# Hop-by-hop, towards a backend -------------------------------------------------------------

passed(
    "9110-7.6.1-named-field-is-removed",
    get(CASE, b"Connection: X-Mine", b"X-Mine: 1", b"X-Stays: 1"),
    sees(b"x-mine"),
    sees(b"x-stays", b"1"),
)
passed(
    "9110-7.6.1-named-fields-in-any-case-and-lines",
    get(
        CASE,
        b"Connection: x-A ,,X-b",
        b"CONNECTION: X-C",
        b"X-a: 1",
        b"x-B: 1",
        b"X-C: 1",
    ),
    sees(b"x-a"),
    sees(b"x-b"),
    sees(b"x-c"),
)
passed(
    "9110-7.6.1-field-before-its-connection",
    get(CASE, b"X-Mine: 1", b"Connection: x-mine"),
    sees(b"x-mine"),
)
for name in (b"Keep-Alive", b"Proxy-Connection", b"TE", b"Proxy-Authorization"):
    passed(
        f"9110-7.6.1-{name.decode().lower()}-is-removed",
        get(CASE, name + b": trailers"),
        sees(name),
        own=name != b"TE" and name != b"Keep-Alive",
    )
passed(
    "9110-7.8-upgrade-without-connection-is-removed",
    get(CASE, b"Upgrade: websocket"),
    sees(b"upgrade"),
)
passed(
    "9110-7.6.1-client-connection-is-not-passed-on",
    get(CASE, b"Connection: keep-alive, x-other"),
    sees(b"x-other"),
    status_is(200),
)
passed(
    "9110-7.6.1-host-cannot-be-named",
    get(CASE, b"Connection: host"),
    sees(b"host", b"lb.test"),
)
passed(
    "9110-7.6.1-forwarding-fields-cannot-be-named",
    get(CASE, b"Connection: X-Forwarded-For"),
    sees(b"x-forwarded-for", b"127.0.0.1"),
    own=True,
)
passed(
    "9110-7.6.1-unknown-fields-are-passed",
    get(CASE, b"X-Unknown: 1", b"Range: bytes=0-1", b"Authorization: Basic x"),
    sees(b"x-unknown", b"1"),
    sees(b"range", b"bytes=0-1"),
    sees(b"authorization", b"Basic x"),
)

# Hop-by-hop, towards a client --------------------------------------------------------------

answered(
    "9110-7.6.1-named-response-field-is-removed",
    OK + b"Connection: X-Mine\r\nX-Mine: 1\r\nX-Stays: 1\r\n\r\nok",
    gives_no(b"x-mine"),
    gives(b"x-stays", b"1"),
)
answered(
    "9110-7.6.1-response-field-before-its-connection",
    OK + b"X-Mine: 1\r\nConnection: x-mine, close\r\n\r\nok",
    gives_no(b"x-mine"),
    closes=True,
)
answered(
    "9110-7.8-response-upgrade-is-for-one-hop",
    OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\nok",
    gives_no(b"upgrade"),
)
answered(
    "9110-11.7.1-proxy-authenticate-is-removed",
    OK + b"Proxy-Authenticate: Basic\r\n\r\nok",
    gives_no(b"proxy-authenticate"),
    own=True,
)
answered(
    "9112-6.1-connection-cannot-hide-the-length",
    OK + b"Connection: content-length\r\n\r\nok",
    status_is(200, 502),
)

# Order, duplicates, spelling ---------------------------------------------------------------

passed(
    "9110-5.3-order-of-equal-names",
    get(CASE, b"X-A: 1", b"X-B: 2", b"X-A: 3"),
    sees_joined(b"x-a", b"1, 3"),
)
passed(
    "9110-5.3-cookies-stay",
    get(CASE, b"Cookie: a=1; b=2"),
    sees(b"cookie", b"a=1; b=2"),
)
answered(
    "9110-5.3-set-cookie-lines-stay-apart",
    OK + b"Set-Cookie: a=1, x\r\nX: 1\r\nSet-Cookie: b=2\r\n\r\nok",
    gives(b"set-cookie", b"a=1, x", b"b=2"),
)
answered(
    "9110-5.3-response-order-of-equal-names",
    OK + b"X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\nok",
    gives(b"x-a", b"1", b"3"),
)


@case("9110-5.1-spelling-and-order-are-kept", own=True)
def _(exam: Exam) -> None:
    lines = [b"X-lOwEr: 1", b"x-b: 2", b"X-B: 3", b"Accept: */*"]
    exam.ask(get(CASE, *lines))
    fields = [b"%b: %b" % pair for pair in exam.talks[0].fields]
    assert [f for f in fields if f in lines] == lines


answered(
    "9110-8-representation-fields-are-kept",
    OK + b'ETag: W/"x"\r\nContent-Encoding: gzip\r\nVary: *\r\nAge: 3\r\n\r\nok',
    gives(b"etag", b'W/"x"'),
    gives(b"content-encoding", b"gzip"),
    gives(b"vary", b"*"),
    gives(b"age", b"3"),
)
answered(
    "9110-6.6.1-date-of-a-backend-is-kept",
    OK + b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nok",
    gives(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    own=True,
)
answered(
    "9110-10.2.4-server-of-a-backend-is-kept",
    OK + b"Server: theirs/1\r\n\r\nok",
    gives(b"server", b"theirs/1"),
    own=True,
)


@case("9110-6.6.1-a-missing-date-is-added")
def _(exam: Exam) -> None:
    """RFC: a recipient with a clock MUST record it when it forwards the response."""
    exam.script(lambda talk: talk.reply(b"ok"))
    date = exam.ask(get(CASE)).value(b"date")
    assert re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)


answered(
    "9110-11.6.1-challenges-are-kept",
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"
    b'WWW-Authenticate: Basic realm="a"\r\nWWW-Authenticate: Bearer\r\n\r\n',
    status_is(401),
    gives(b"www-authenticate", b'Basic realm="a"', b"Bearer"),
)
answered(
    "9110-15.4-redirects-are-kept",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://x.test/y?z\r\n\r\n",
    status_is(302),
    gives(b"location", b"http://x.test/y?z"),
)

# Trailers ----------------------------------------------------------------------------------

CODED = b"Transfer-Encoding: chunked"


def trailer_of(talk: Talk) -> bytes:
    """The raw chunked body with its trailers, as the backend gets it."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += talk.read()
    talk.is_body_read = True
    return data


@case("9110-6.5.1-trailers-of-a-request-are-passed", own=True)
def _(exam: Exam) -> None:
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        got.append(trailer_of(talk))
        talk.reply(b"ok")

    exam.script(script)
    body = (
        b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Mine: 2\r\nContent-Length: 9\r\nHost: x\r\n\r\n"
    )
    head = request(b"POST", CASE, CODED, b"Connection: x-mine")
    assert exam.ask(head + body).status == 200
    assert b"X-Sum: 1" in got[0]
    assert b"Content-Length" not in got[0]
    assert b"Host" not in got[0]
    assert b"X-Mine" not in got[0], "Connection named it (RFC 9110 section 7.6.1)"


@case("9110-6.5.1-trailers-of-a-response-are-passed", own=True)
def _(exam: Exam) -> None:
    def script(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nConnection: x-mine\r\n" + CODED + b"\r\n\r\n")
        talk.send(b"2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Mine: 2\r\nSet-Cookie: evil\r\n\r\n")

    exam.script(script)
    with exam.connect() as client:
        client.send(get(CASE))
        data = b""
        while not data.endswith(b"\r\n0\r\n\r\n") and b"X-Sum: 1\r\n\r\n" not in data:
            data += client.sock.recv(65536)
    assert data.endswith(b"0\r\nX-Sum: 1\r\n\r\n"), data


@case("9112-7.1.2-trailers-are-never-merged-into-the-head")
def _(exam: Exam) -> None:
    exam.ask(
        request(b"POST", CASE, CODED)
        + in_chunks(b"hi")[:-2]
        + b"X-Role: admin\r\nContent-Length: 5\r\n\r\n"
    )
    (talk,) = exam.seen()
    assert talk.values(b"x-role") == []
    assert talk.body == b"hi"
