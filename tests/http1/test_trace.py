"""Trace context by the W3C's rules, and what a backend is told of the balancer's span."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.http1.forward import request_ids
from lb.http1.request import RequestParser
from lb.http1.trace import Beginner, Context, TracedPeer, context_in, ids_in

TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
VALID = b"00-" + TRACE + b"-" + SPAN + b"-01"


def hexes(count: int) -> st.SearchStrategy[bytes]:
    return st.text("0123456789abcdef", min_size=count, max_size=count).map(str.encode)


@given(hexes(32), hexes(16), hexes(2))
def test_what_is_valid_is_understood(trace: bytes, span: bytes, flags: bytes) -> None:
    """Ids of zeros alone are none."""
    found = context_in(b"00-%b-%b-%b" % (trace, span, flags))
    if int(trace, 16) and int(span, 16):
        assert found == Context(trace, span, flags)
        assert found.is_recorded == bool(int(flags, 16) % 2)
    else:
        assert found is None


@pytest.mark.parametrize(
    "value",
    [
        b"", b"00", b"ff" + VALID[2:], VALID.upper(), VALID + b"-00", VALID + b" ",
        VALID[:-1], b"00-" + TRACE + b"-" + SPAN, VALID.replace(b"-", b"_"),
        VALID + b"," + VALID, b"01" + VALID[2:] + b"00", b" " + VALID,
    ],
)  # fmt: skip
def test_what_is_not_valid_is_nothing(value: bytes) -> None:
    assert context_in(value) is None


def test_a_later_version_may_say_more() -> None:
    """Section 3.2.4: what is known of it is used."""
    assert context_in(b"cc" + VALID[2:] + b"-what-the-future") == Context(
        TRACE, SPAN, b"01"
    )
    assert context_in(b"01" + VALID[2:]) is not None


@given(st.binary(max_size=80))
def test_nothing_that_clients_send_makes_it_fail(value: bytes) -> None:
    context_in(value)


def traced(ratio: float = 1.0) -> TracedPeer:
    beginner = Beginner(ratio, bits=random.Random(7).getrandbits)
    ids = request_ids(b"aa")
    return TracedPeer("192.0.2.1", via=b"evenhand", ids=ids, beginner=beginner)


def wire_of(*lines: bytes, ratio: float = 1.0) -> bytes:
    """The head that a backend gets for a request with these lines."""
    parser = RequestParser(limit_bytes=65536, traces=True)
    head = parser.parse(
        b"".join(
            [b"GET /a HTTP/1.1\r\nHost: a\r\n", *[x + b"\r\n" for x in lines], b"\r\n"]
        )
    )
    assert head is not None
    return traced(ratio).request_head(head)[0]


def values(wire: bytes, name: bytes) -> list[bytes]:
    lines = wire.split(b"\r\n")[1:]
    return [x.partition(b": ")[2] for x in lines if x.lower().startswith(name + b":")]


@pytest.mark.parametrize(
    "extra", [(), (b"Forwarded: for=1",), (b"X-Request-Id: mine",), (b"A: b",)]
)
def test_the_balancers_span_is_the_backends_parent(extra: tuple[bytes, ...]) -> None:
    """Whatever else is in the head; its ids are found in it again."""
    wire = wire_of(
        b"TraceParent: " + VALID, b"Tracestate: a=1", b"tracestate: b=2", *extra
    )
    (value,) = values(wire, b"traceparent")
    version, trace, span, flags = value.split(b"-")
    assert (version, trace, flags) == (b"00", TRACE, b"01")
    assert span != SPAN
    assert values(wire, b"tracestate") == [b"a=1,b=2"]
    assert ids_in(wire, wire.find(b"\r\n\r\n")) == trace + b"-" + span
    assert wire.endswith(b"\r\n\r\n")


def test_flags_that_are_not_known_go_on() -> None:
    (value,) = values(wire_of(b"traceparent: " + VALID[:-2] + b"03"), b"traceparent")
    assert value.endswith(b"-03")


def test_what_is_not_recorded_passes_untouched() -> None:
    sent = VALID[:-1] + b"0"
    wire = wire_of(b"traceparent: " + sent, b"tracestate: a=1")
    assert values(wire, b"traceparent") == [sent]
    assert values(wire, b"tracestate") == [b"a=1"]
    assert ids_in(wire, wire.find(b"\r\n\r\n")) == b""


def test_a_field_that_connection_names_is_not_passed_on() -> None:
    """RFC 9110 section 7.6.1: so the request begins a trace."""
    wire = wire_of(b"traceparent: " + VALID, b"Connection: traceparent")
    (value,) = values(wire, b"traceparent")
    assert TRACE not in value
    wire = wire_of(b"traceparent: " + VALID, b"X-A: 1", b"Connection: x-a")
    (value,) = values(wire, b"traceparent")
    assert TRACE in value


def test_a_head_that_another_wrote_has_no_ids() -> None:
    """A client's own line, where tracing was off when its request came."""
    wire = b"GET / HTTP/1.1\r\ntraceparent: " + VALID + b"\r\nX-Request-Id: 1\r\n\r\n"
    assert ids_in(wire, wire.find(b"\r\n\r\n")) == b""


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_as_many_traces_are_recorded_as_the_ratio_says(ratio: float) -> None:
    beginner = Beginner(ratio, bits=random.Random(1).getrandbits)
    made = [beginner.trace() for _ in range(4000)]
    share = sum(each.is_recorded for each in made) / len(made)
    assert share == pytest.approx(ratio, abs=0.03)
    assert len({each.trace for each in made}) == len(made)
    assert all(context_in(b"00-%b-%b-%b" % each) == each for each in made)


def test_the_sdk_would_decide_alike() -> None:
    """By the same bits of the trace's id."""
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    beginner = Beginner(0.3, bits=random.Random(2).getrandbits)
    sampler = TraceIdRatioBased(0.3)
    for _ in range(500):
        made = beginner.trace()
        theirs = sampler.should_sample(None, int(made.trace, 16), "a")
        assert theirs.decision.is_sampled() == made.is_recorded
