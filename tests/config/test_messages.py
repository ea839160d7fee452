"""Bad settings: what a person reads, to the letter, and what never shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lb.config import load
from lb.config.messages import value_text
from lb.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = "seconds, a number from 0.001 to 86400"
LISTEN = "host:port, [v6]:port, :port or unix:/path"
BACKENDS = (
    "1 to 4096 of host:port, [v6]:port, unix:/path or name=address; "
    "in the file also { name, address, weight, max_in_flight, backup }"
)
NETWORKS = "IP addresses and networks such as 10.0.0.0/8, with commas between"
STATUSES = "codes and ranges from 100 to 599 with commas between"
ERRORS = "codes and ranges from 400 to 599 with commas between, or empty"
PORT = "the port must be a number from 1 to 65535"

# variable, given, reason (with its "; "), allowed
BAD_VARIABLES = [
    ("LB_WORKERS", "many", "", "a whole number from 1 to 256"),
    ("LB_WORKERS", "0", "", "a whole number from 1 to 256"),
    ("LB_WORKERS", "257", "", "a whole number from 1 to 256"),
    ("LB_WORKERS", "2.5", "", "a whole number from 1 to 256"),
    ("LB_WORKERS", "9" * 70, "", "a whole number from 1 to 256"),
    ("LB_HEALTH__INTERVAL", "", "", SECONDS),
    ("LB_HEALTH__INTERVAL", "0", "", SECONDS),
    ("LB_HEALTH__INTERVAL", "-1", "", SECONDS),
    ("LB_HEALTH__INTERVAL", "nan", "", SECONDS),
    ("LB_HEALTH__INTERVAL", "inf", "", SECONDS),
    ("LB_HEALTH__TIMEOUT", "61", "", "seconds, a number from 0.001 to 60"),
    ("LB_HEALTH__KIND", "udp", "", "tcp, http"),
    ("LB_HEALTH__RISE", "101", "", "a whole number from 1 to 100"),
    ("LB_HEALTH__FALL", "0", "", "a whole number from 1 to 100"),
    (
        "LB_HEALTH__PATH",
        "healthz",
        "",
        "text that starts with / and has no spaces, in ASCII",
    ),
    (
        "LB_HEALTH__PATH",
        "/a b",
        "",
        "text that starts with / and has no spaces, in ASCII",
    ),
    (
        "LB_HEALTH__STATUS",
        "ok",
        "'ok' is not a code or range from 100 to 599; ",
        STATUSES,
    ),
    ("LB_HEALTH__STATUS", "399-200", "the range 399-200 runs backwards; ", STATUSES),
    ("LB_RETRIES__BUDGET", "101", "", "a percentage from 0 to 100"),
    ("LB_RETRIES__BUDGET", "20%", "", "a percentage from 0 to 100"),
    ("LB_RETRIES__MIN", "-1", "", "a whole number from 0 to 100000"),
    ("LB_RETRIES__STATUSES", "200-599", "below 400 an answer is good; ", ERRORS),
    (
        "LB_RETRIES__STATUSES",
        "5xx",
        "'5xx' is not a code or range from 100 to 599; ",
        ERRORS,
    ),
    ("LB_RETRIES__HEDGE", "-1", "", "seconds, a number from 0 to 86400"),
    ("LB_TIMEOUTS__REQUEST", "-1", "", "seconds, a number from 0 to 86400"),
    ("LB_HEALTH__HOST", "a b", "", "text in ASCII without spaces, or empty"),
    ("LB_HEALTH__HEADER", "A B", "", "a field's name, or empty for none"),
    ("LB_HEALTH__PANIC", "101", "", "a whole number from 0 to 100"),
    ("LB_HEALTH__EJECT__SHARE", "0", "", "a whole number from 1 to 100"),
    (
        "LB_HEALTH__EJECT__STATUS",
        "399-502",
        "a status below 400 is no fault; ",
        "codes and ranges from 400 to 599 with commas between, or empty",
    ),
    ("LB_HEALTH__CONCURRENCY", "0", "", "a whole number from 1 to 4096"),
    (
        "LB_BALANCE__POLICY",
        "Round",
        "",
        "a policy's name in a-z and _, or package.module:function",
    ),
    ("LB_BIND", "8080", "expected host:port or unix:/path; ", LISTEN),
    ("LB_BIND", "0.0.0.0:99999", f"{PORT}; ", LISTEN),
    ("LB_BIND", "::1:80", "write an IPv6 address in brackets: [::1]:8080; ", LISTEN),
    (
        "LB_BIND",
        "unix:lb.sock",
        "a unix socket needs an absolute path: unix:/path; ",
        LISTEN,
    ),
    ("LB_BACKENDS", "", "no backend is given; ", BACKENDS),
    (
        "LB_TIMEOUTS__CONNECT",
        "3s",
        "",
        SECONDS,
    ),
    (
        "LB_LIMITS__HEAD_BYTES",
        "64KB",
        "the unit KB is not one of B, KiB, MiB, GiB, TiB; ",
        "bytes, from 1KiB to 1MiB, as a whole number or like 64KiB or 1MiB",
    ),
    (
        "LB_LIMITS__HEAD_BYTES",
        "2MiB",
        "",
        "bytes, from 1KiB to 1MiB, as a whole number or like 64KiB or 1MiB",
    ),
    (
        "LB_LIMITS__BODY_BYTES",
        "-1",
        "a size is a whole number, with or without a unit; ",
        "bytes, from 0 to 1TiB, as a whole number or like 64KiB or 1MiB",
    ),
    ("LB_RETRIES__ATTEMPTS", "17", "", "a whole number from 1 to 16"),
    ("LB_POOL__IDLE_CONNECTIONS", "65537", "", "a whole number from 0 to 65536"),
    ("LB_HEADERS__UNDERSCORES", "allow", "", "drop, keep, refuse"),
    (
        "LB_HEADERS__VIA",
        "even hand",
        "",
        "a letter, then up to 63 letters, digits or !#$%&'*+-.^_`|~",
    ),
    ("LB_LOG__ACCESS", "", "", "-, off, or the path of a file"),
    ("LB_LOG__LEVEL", "INFO", "", "debug, info, warning, error"),
    ("LB_LOG__BUFFER_LINES", "0", "", "a whole number from 1 to 1000000"),
    ("LB_DEMO__CONTROLS", "perhaps", "", "true or false"),
    (
        "LB_ADMIN__BIND",
        ":9900",
        "reachable from other machines without a token; ",
        f"{LISTEN}; beyond loopback only with admin.token",
    ),
]


@pytest.mark.parametrize(("name", "given", "reason", "allowed"), BAD_VARIABLES)
def test_a_bad_variable_is_named_with_what_is_allowed(
    tmp_path: Path, name: str, given: str, reason: str, allowed: str
) -> None:
    """One line: dotted key, variable, value as given, reason, what is allowed."""
    key = name.removeprefix("LB_").lower().replace("__", ".")
    shown = "0.0.0.0:9900" if given == ":9900" else given
    assert failure(tmp_path, {name: given}) == (
        f'{key} ({name}): got "{shown}"; {reason}allowed: {allowed}'
    )


# TOML text, the line of the message without the origin in brackets
BAD_FILES = [
    ("workers = true", "workers: got true; a number is expected, not true or false; "
     "allowed: a whole number from 1 to 256"),
    ("health.rise = 2.5", "health.rise: got 2.5; "
     "allowed: a whole number from 1 to 100"),
    ("health.interval = nan", f"health.interval: got NaN; allowed: {SECONDS}"),
    ("log.access = 3", "log.access: got 3; allowed: -, off, or the path of a file"),
    ("bind = 8080", f"bind: got 8080; expected text; allowed: {LISTEN}"),
    ("bind.port = 1", f'bind: got {{"port": 1}}; expected text; allowed: {LISTEN}'),
    ("health.status = true", "health.status: got true; expected text such as "
     f"200-399; allowed: {STATUSES}"),
    ("backends = []", f"backends: got []; no backend is given; allowed: {BACKENDS}"),
    ("backends = 3", f"backends: got 3; expected a list; allowed: {BACKENDS}"),
    ("trusted_proxies = 1", "trusted_proxies: got 1; expected a list; "
     f"allowed: {NETWORKS}"),
    ("trusted_proxies = [1]", "trusted_proxies, item 1: got 1; expected text; "
     f"allowed: {NETWORKS}"),
    ("trusted_proxies = ['10.0.0.1/8']", 'trusted_proxies, item 1: got "10.0.0.1/8"; '
     f"bits are set beyond its mask: write 10.0.0.0/8; allowed: {NETWORKS}"),
    ("demo.controls = 2026-01-01", 'demo.controls: got "2026-01-01"; '
     "allowed: true or false"),
    ("log = 'off'", "log: got a value of type str; allowed: a table [log] with "
     "log.access, log.level, log.buffer_lines"),
    ("[[log]]", "log: got a value of type list; allowed: a table [log] with "
     "log.access, log.level, log.buffer_lines"),
    ("[helth]\ninterval = 1", "helth.interval: unknown key; "
     "did you mean health.interval?"),
    ("interval = 1", "interval: unknown key; did you mean health.interval?"),
    ("[health]\nintervall = 1", "health.intervall: unknown key; "
     "did you mean health.interval?"),
    ("[log]\ncolour = 1", "log.colour: unknown key; allowed: "
     "log.access, log.level, log.buffer_lines"),
    ("[health.http]\nx = 1", "health.http: unknown key; "
     "did you mean health.host?"),
    ("xyzzy = 1", "xyzzy: unknown key; allowed: backends, bind, workers, "
     "trusted_proxies, proxy_protocol, [balance], [balance.sticky], [queue], "
     "[health], [health.eject], [health.flap], [timeouts], [limits], [retries], [pool], "
     "[headers], [log], [state], [admin], [tracing], [demo], [sets.NAME], [[routes]]"),
    ('"health.rise" = 1', '"health.rise": unknown key; did you mean health.rise?'),
    ('"a\\nb" = 1', '"a\\nb": unknown key; allowed: backends, bind, workers, '
     "trusted_proxies, proxy_protocol, [balance], [balance.sticky], [queue], "
     "[health], [health.eject], [health.flap], [timeouts], [limits], [retries], [pool], "
     "[headers], [log], [state], [admin], [tracing], [demo], [sets.NAME], [[routes]]"),
]  # fmt: skip


@pytest.mark.parametrize(("toml", "line"), BAD_FILES)
def test_a_bad_file_is_named_with_what_is_allowed(
    tmp_path: Path, toml: str, line: str
) -> None:
    """The same form of line, with the file's path as the origin."""
    file = write(tmp_path, toml)
    place, colon, rest = line.partition(":")
    assert failure(tmp_path) == f"{place} ({file}){colon}{rest}"


# the items in TOML, the item's number, as shown, the reason
BAD_BACKENDS = [
    ('"a:1", "b"', 2, '"b"', "expected host:port or unix:/path"),
    ('"a:0"', 1, '"a:0"', PORT),
    ('"http://a:1"', 1, '"http://a:1"', "an address has no scheme: write host:port"),
    ('"999.1.1.1:80"', 1, '"999.1.1.1:80"',
     "'999.1.1.1' does not appear to be an IPv4 or IPv6 address"),
    ('"[a]:80"', 1, '"[a]:80"', "'a' does not appear to be an IPv4 or IPv6 address"),
    ('"a b:1"', 1, '"a b:1"', "the host is not a name or an IP address"),
    ('"b=b=a:1"', 1, '"b=b=a:1"', "the host is not a name or an IP address"),
    ('"a\\u0007:1"', 1, '"a\\u0007:1"', "it holds characters that cannot be printed"),
    ('""', 1, '""', "it is empty"),
    ("3", 1, "3", "expected text or a table"),
    ("{}", 1, "{}", "its address must be given, as text"),
    ("{ adress = 'a:1' }", 1, '{"adress": "a:1"}',
     "unknown key 'adress', did you mean address?"),
    ("{ address = 'a:1', zone = 'x' }", 1, '{"address": "a:1", "zone": "x"}',
     "unknown key 'zone'"),
    ("{ address = 'a:1', name = 3 }", 1, '{"address": "a:1", "name": 3}',
     "its name must be text"),
    ("{ address = 'a:1', weight = 0 }", 1, '{"address": "a:1", "weight": 0}',
     "its weight must be from 1 to 256"),
    ("{ address = 'a:1', weight = true }", 1, '{"address": "a:1", "weight": true}',
     "its weight must be a whole number"),
    ('"=a:1"', 1, '"=a:1"',
     "its name must have 1 to 64 printable characters without spaces or commas"),
    ('"x y=a:1"', 1, '"x y=a:1"',
     "its name must have 1 to 64 printable characters without spaces or commas"),
    (f'"unix:/{"p" * 107}"', 1, f'"unix:/{"p" * 73}...',
     "the path has 108 bytes, a unix socket's at most 107"),
    (f'"unix:/{"p" * 60}"', 1, f'"unix:/{"p" * 60}"',
     "its address cannot be its name, give it one of 1 to 64 printable characters "
     "without spaces or commas"),
    ('"a:1", "b:1", "x=a:01"', 3, '"x=a:1"', "the same address as item 1, a:1"),
    ('"A:1", "a:1"', 2, '"a:1"', "the same address as item 1, A:1"),
    ('"[::1]:1", "[0:0::1]:1"', 2, '"[0:0::1]:1"',
     "the same address as item 1, [::1]:1"),
    ('"x=a:1", "x=b:1"', 2, '"x=b:1"', "the same name as item 1, x=a:1"),
]  # fmt: skip


@pytest.mark.parametrize(("items", "number", "shown", "reason"), BAD_BACKENDS)
def test_a_bad_backend_is_named_by_its_place_in_the_list(
    tmp_path: Path, items: str, number: int, shown: str, reason: str
) -> None:
    """Items are counted from 1, and a duplicate names both."""
    file = write(tmp_path, f"backends = [{items}]")
    assert failure(tmp_path) == (
        f"backends, item {number} ({file}): got {shown}; {reason}; allowed: {BACKENDS}"
    )


def test_more_than_4096_backends_are_refused(tmp_path: Path) -> None:
    """The bound is the shared file's; 4096 themselves are fine."""
    items = [f"b{n}:80" for n in range(4097)]
    assert len(load({"LB_BACKENDS": ",".join(items[1:])}, tmp_path).backends) == 4096
    message = failure(tmp_path, {"LB_BACKENDS": ",".join(items)})
    assert "; these are 4097 backends; " in message


def test_all_problems_of_a_load_are_listed(tmp_path: Path) -> None:
    """File, environment, unknown and bad: one line each, in one error."""
    file = write(tmp_path, "nope = 1\nhealth.rise = 0\nhealth.fall = 0\n")
    environ = {
        "LB_BACKENDS": "a:1,,b",
        "LB_HEALTH__FALL": "x",
        "LB_HEALTH_INTERVAL": "1",
        "LB_TRUSTED_PROXIES": "x,10.0.0.0/8,y",
    }
    starts = [line.partition(":")[0] for line in failure(tmp_path, environ).split("\n")]
    assert starts == [
        f"nope ({file})",
        "health_interval (LB_HEALTH_INTERVAL)",
        "backends, item 2 (LB_BACKENDS)",
        "backends, item 3 (LB_BACKENDS)",
        "trusted_proxies, item 1 (LB_TRUSTED_PROXIES)",
        "trusted_proxies, item 3 (LB_TRUSTED_PROXIES)",
        f"health.rise ({file})",
        "health.fall (LB_HEALTH__FALL)",
    ]


UNKNOWN_VARIABLES = [
    ("LB_HEALTH_INTERVAL", "health_interval", "did you mean LB_HEALTH__INTERVAL?"),
    ("LB_health__interval", "health.interval", "did you mean LB_HEALTH__INTERVAL?"),
    ("LB_BACKEND", "backend", "did you mean LB_BACKENDS?"),
    ("LB_CONFG", "confg", "did you mean LB_CONFIG?"),
    ("LB_LOG", "log", "allowed: LB_LOG__ACCESS, LB_LOG__LEVEL, LB_LOG__BUFFER_LINES"),
    (
        "LB_",
        "",
        "allowed: LB_CONFIG, LB_BACKENDS, LB_BIND, LB_WORKERS, LB_TRUSTED_PROXIES, "
        "LB_PROXY_PROTOCOL, "
        "LB_BALANCE__..., LB_BALANCE__STICKY__..., LB_QUEUE__..., LB_HEALTH__..., "
        "LB_HEALTH__EJECT__..., LB_HEALTH__FLAP__..., LB_TIMEOUTS__..., LB_LIMITS__..., "
        "LB_RETRIES__..., LB_POOL__..., LB_HEADERS__..., LB_LOG__..., LB_STATE__..., "
        "LB_ADMIN__..., LB_TRACING__..., LB_DEMO__...",
    ),
]


@pytest.mark.parametrize(("name", "key", "advice"), UNKNOWN_VARIABLES)
def test_an_unknown_variable_is_refused_with_advice(
    tmp_path: Path, name: str, key: str, advice: str
) -> None:
    """A typo in the environment stops the start, as one in the file does."""
    assert failure(tmp_path, {name: "1"}) == f"{key} ({name}): unknown key; {advice}"


@pytest.mark.parametrize(
    ("environ", "toml"),
    [
        ({"LB_ADMIN__TOKEN": "hun ter2"}, ""),
        ({"LB_ADMIN__TOKN": "hun ter2"}, ""),
        ({}, "admin.token = ['hun ter2']"),
        ({}, "admin.tokn = 'hun ter2'"),
        ({}, "admin = 'hun ter2'"),
        ({"LB_ADMIN__BIND": "x"}, "admin.token = 'hun ter2'"),
    ],
)
def test_a_secret_is_in_no_message(
    tmp_path: Path, environ: dict[str, str], toml: str
) -> None:
    """Not even where it is misplaced, misspelled or malformed."""
    write(tmp_path, toml)
    assert "ter2" not in failure(tmp_path, environ)


def test_text_that_could_break_a_line_is_escaped(tmp_path: Path) -> None:
    """Newlines, escape sequences and undecodable bytes stay harmless."""
    environ = {"LB_A\nB": "", "LB_HEALTH__KIND": "a\n\x1b[31m\udcff"}
    message = failure(tmp_path, environ)
    assert message.count("\n") == 1
    assert message.replace("\n", "").isprintable()
    assert 'got "a\\n\\u001b[31m\\udcff";' in message


def test_a_value_too_deep_to_print_is_named_so() -> None:
    """Printing a value must not fail in a new way."""
    value: dict[str, object] = {}
    for _ in range(100_000):
        value = {"a": value}
    assert value_text(value) == "a value that is nested too deeply to be shown"


def write(folder: Path, toml: str) -> Path:
    file = folder / "lb.toml"
    file.write_text(toml)
    return file


def failure(folder: Path, environ: dict[str, str] | None = None) -> str:
    """The message of a load that must fail."""
    with pytest.raises(ConfigError) as caught:
        load(environ or {}, folder)
    return str(caught.value)
