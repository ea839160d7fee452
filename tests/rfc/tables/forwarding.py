"""Who the client is and who passed it on: Via, Forwarded, ids (RFC 9110 7.6, 7239)."""

from __future__ import annotations

from tests.live.client import get
from tests.rfc.exam import CASE, Exam, answer_or_none, send
from tests.rfc.rows import Table, sees, sees_joined

CASES = Table()
refused, passed, case = CASES.refused, CASES.passed, CASES.case

# Via, forwarding ---------------------------------------------------------------------------


@case("9110-7.6.3-via-towards-a-backend", own=True)
def _(exam: Exam) -> None:
    """A gateway MUST send Via in each request that it forwards."""
    exam.ask(get(CASE, b"Via: 1.0 before"))
    via = b", ".join(exam.talks[0].values(b"via"))
    assert via == b"1.0 before, 1.1 evenhand"


@case("9110-7.6.3-via-of-an-http-1.0-client", own=True)
def _(exam: Exam) -> None:
    exam.ask(b"GET /case HTTP/1.0\r\nHost: a\r\n\r\n")
    assert exam.talks[0].values(b"via") == [b"1.0 evenhand"]


@case("9110-7.6.3-via-towards-a-client", own=True)
def _(exam: Exam) -> None:
    exam.script(lambda talk: talk.reply(b"ok", b"Via: 1.1 inner"))
    answer = exam.ask(get(CASE))
    assert b", ".join(answer.values(b"via")) == b"1.1 inner, 1.1 evenhand"


CLAIMS = (
    b"X-Forwarded-For: 6.6.6.6",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: evil.test",
    b"Forwarded: for=6.6.6.6",
)
passed(
    "7239-5.2-client-is-named",
    get(CASE),
    sees(b"x-forwarded-for", b"127.0.0.1"),
)
passed(
    "7239-5-forwarded-is-set",
    get(CASE),
    sees(b"forwarded", b'for=127.0.0.1;proto=http;host="lb.test"'),
    sees(b"x-forwarded-proto", b"http"),
    sees(b"x-forwarded-host", b"lb.test"),
    own=True,
)
passed(
    "7239-8.1-claims-of-strangers-are-dropped",
    get(CASE, *CLAIMS),
    sees(b"x-forwarded-for", b"127.0.0.1"),
    sees(b"x-forwarded-proto", b"http"),
    sees(b"x-forwarded-host", b"lb.test"),
    sees(b"forwarded", b'for=127.0.0.1;proto=http;host="lb.test"'),
    own=True,
)
passed(
    "7239-8.1-claims-of-trusted-proxies-are-kept",
    get(CASE, *CLAIMS),
    sees_joined(b"x-forwarded-for", b"6.6.6.6, 127.0.0.1"),
    sees(b"x-forwarded-proto", b"https"),
    sees(b"x-forwarded-host", b"evil.test"),
    sees(b"forwarded", b'for=6.6.6.6, for=127.0.0.1;proto=http;host="lb.test"'),
    own=True,
    variant="trusting",
)
passed(
    "7239-8.1-connection-cannot-take-trusted-claims-away",
    get(CASE, b"Connection: X-Forwarded-For, Forwarded", *CLAIMS),
    sees_joined(b"x-forwarded-for", b"6.6.6.6, 127.0.0.1"),
    own=True,
    variant="trusting",
)
passed(
    "3875-4.1.18-underscore-names-are-dropped",
    get(CASE, b"X_Forwarded_For: 6.6.6.6", b"X_Auth_User: root", b"X-Auth: 1"),
    sees(b"x_forwarded_for"),
    sees(b"x_auth_user"),
    sees(b"x-auth", b"1"),
    own=True,
)
passed(
    "3875-4.1.18-underscore-names-can-be-kept",
    get(CASE, b"X_Auth_User: root"),
    sees(b"x_auth_user", b"root"),
    own=True,
    variant="keeping",
)
refused(
    "3875-4.1.18-underscore-names-can-be-refused",
    get(CASE, b"X_Auth_User: root"),
    own=True,
    variant="refusing",
)


@case("own-request-id-is-made", own=True)
def _(exam: Exam) -> None:
    """Each request without one gets an id of its own."""
    for _ in range(3):
        exam.ask(get(CASE))
    ids = [talk.values(b"x-request-id") for talk in exam.talks]
    assert all(len(i) == 1 and len(i[0]) >= 16 for i in ids)
    assert len({i[0] for i in ids}) == 3


passed(
    "own-request-id-is-kept",
    get(CASE, b"X-Request-Id: abc-123"),
    sees(b"x-request-id", b"abc-123"),
    own=True,
)


@case("own-insane-request-id-is-replaced", own=True)
def _(exam: Exam) -> None:
    exam.ask(get(CASE, b'X-Request-Id: a"b c'))
    (value,) = exam.talks[0].values(b"x-request-id")
    assert value.isalnum()


# The PROXY protocol ------------------------------------------------------------------------

PLAIN = get(CASE)
V1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 5 80\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\0\x05\0\x50"
V2_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

for name, start, ip in (
    ("version-1", V1, b"192.0.2.7"),
    ("version-1-ipv6", b"PROXY TCP6 2001:db8::1 ::1 5 80\r\n", b"2001:db8::1"),
    ("version-1-unknown", b"PROXY UNKNOWN\r\n", b"127.0.0.1"),
    ("version-2", V2, b"192.0.2.7"),
    ("version-2-local", V2_LOCAL, b"127.0.0.1"),
):

    def _run(exam: Exam, start: bytes = start, ip: bytes = ip) -> None:
        with exam.connect() as client:
            client.send_slowly(start)
            client.send(PLAIN)
            assert client.answer().status == 200
            assert client.ask(PLAIN).status == 200
        assert [t.values(b"x-forwarded-for") for t in exam.seen()] == [[ip], [ip]]

    case(f"proxy-protocol-{name}", own=True, variant="proxied")(_run)

for name, data in {
    "missing": PLAIN,
    "too-long": b"PROXY TCP4 " + b"1" * 200 + b"\r\n" + PLAIN,
    "no-address": b"PROXY TCP4 here there 5 80\r\n" + PLAIN,
    "unknown-version": V2.replace(b"\x21", b"\x31") + PLAIN,
}.items():

    def _run_bad(exam: Exam, data: bytes = data) -> None:
        with exam.connect() as client:
            send(client, data)
            answer = answer_or_none(client)
            assert answer is None or answer.status == 400
        assert exam.talks == []

    case(f"proxy-protocol-{name}", own=True, variant="proxied")(_run_bad)
