"""Good settings: values, precedence, origins, files found and not found."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lb.config import Settings, StatusSet, load
from lb.errors import ConfigError
from lb.model import Address, Backend

ROOT = Path(__file__).parents[2]

# dotted key, as the environment writes it, as TOML writes it, the value
GOOD: list[tuple[str, str, str, Any]] = [
    ("bind", ":80", '":80"', "0.0.0.0:80"),
    ("bind", "[::]:8080", '"[::]:8080"', "[::]:8080"),
    ("bind", "unix:/run/lb.sock", '"unix:/run/lb.sock"', "unix:/run/lb.sock"),
    ("bind", "unix:///run/lb.sock", '"unix:/run/lb.sock"', "unix:/run/lb.sock"),
    ("workers", " 4 ", "4", 4),
    ("trusted_proxies", "", "[]", ()),
    ("trusted_proxies", "::1, 10.0.0.0/8", '["::1", "10.0.0.0/8"]',
     (ip_network("::1"), ip_network("10.0.0.0/8"))),
    ("balance.policy", "least_connections", '"least_connections"', "least_connections"),
    ("balance.policy", "my.own:pick2", '"my.own:pick2"', "my.own:pick2"),
    ("health.kind", "http", '"http"', "http"),
    ("health.interval", "0.25", "0.25", 0.25),
    ("health.interval", "5", "5", 5.0),
    ("health.path", "/healthz?deep=1", '"/healthz?deep=1"', "/healthz?deep=1"),
    ("health.status", "204", "204", StatusSet(((204, 204),))),
    ("health.status", "200, 301-308", '"200,301-308"',
     StatusSet(((200, 200), (301, 308)))),
    ("health.body", "", '""', ""),
    ("health.eject.status", "", '""', StatusSet(())),
    ("health.flap.hold", "2.5", "2.5", 2.5),
    ("limits.head_bytes", "16KiB", '"16 kib"', 16384),
    ("limits.body_bytes", "0", "0", 0),
    ("limits.body_bytes", "1TiB", "1099511627776", 1 << 40),
    ("log.access", "off", '"off"', "off"),
    ("demo.controls", "true", "true", True),
    ("demo.controls", "0", "false", False),
]  # fmt: skip


@pytest.mark.parametrize(("key", "text", "toml", "value"), GOOD)
def test_file_and_environment_say_the_same(
    tmp_path: Path, key: str, text: str, toml: str, value: object
) -> None:
    """Each good value, written both ways, loads as the same value."""
    variable = "LB_" + key.upper().replace(".", "__")
    assert valued(load({variable: text}, tmp_path), key) == value
    (tmp_path / "lb.toml").write_text(f"{key} = {toml}")
    assert valued(load({}, tmp_path), key) == value


def valued(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


A, B = Address("127.0.0.1", 9001), Address(path="/run/b=2.sock")


@pytest.mark.parametrize(
    ("text", "toml"),
    [
        (
            "127.0.0.1:9001,unix:/run/b=2.sock",
            '["127.0.0.1:9001", "unix:/run/b=2.sock"]',
        ),
        (
            " 127.0.0.1:9001 , unix:/run/b=2.sock ",
            '[{ address = "127.0.0.1:9001" }, { address = "unix:/run/b=2.sock" }]',
        ),
    ],
)
def test_backends_have_their_address_as_name(
    tmp_path: Path, text: str, toml: str
) -> None:
    """Texts and tables without a name give the same backends."""
    expected = (Backend("127.0.0.1:9001", A), Backend("unix:/run/b=2.sock", B))
    assert load({"LB_BACKENDS": text}, tmp_path).backends == expected
    (tmp_path / "lb.toml").write_text(f"backends = {toml}")
    assert load({}, tmp_path).backends == expected


def test_backends_may_have_names_and_weights(tmp_path: Path) -> None:
    """Names in both places, weights in the file's tables."""
    settings = load({"LB_BACKENDS": "one=127.0.0.1:9001,zwei-ü=[::1]:2"}, tmp_path)
    second = Backend("zwei-ü", Address("::1", 2))
    assert settings.backends == (Backend("one", A), second)
    (tmp_path / "lb.toml").write_text(
        '[[backends]]\nname = "one"\naddress = "127.0.0.1:9001"\nweight = 256\n'
    )
    assert load({}, tmp_path).backends == (Backend("one", A, 256),)


def test_defaults_are_the_contract(tmp_path: Path) -> None:
    """Without file and environment, the documented values are in force."""
    settings = load({}, tmp_path)
    assert [b.name for b in settings.backends] == ["backend1", "backend2"]
    assert settings.bind == "0.0.0.0:8080"
    assert settings.workers == len(os.sched_getaffinity(0))
    assert settings.balance.policy == "round_robin"
    assert settings.health.model_dump() == {
        "kind": "tcp", "interval": 2, "fast_interval": 0.5, "timeout": 1, "rise": 2,
        "fall": 3, "path": "/", "status": {"ranges": ((200, 399),)}, "host": "",
        "body": "", "header": "", "concurrency": 256, "panic": 50, "slow_start": 0,
        "eject": {
            "failures": 5, "time": 30, "time_max": 300, "share": 50,
            "status": {"ranges": ((502, 504),)},
        },
        "flap": {"changes": 6, "window": 60, "hold": 10, "hold_max": 160},
    }  # fmt: skip
    assert settings.timeouts.model_dump() == {
        "connect": 3, "response": 60, "idle": 60, "request_head": 10, "keepalive": 75,
        "request": 0,
    }  # fmt: skip
    assert settings.limits.head_bytes == 65536
    assert settings.retries.attempts == 3
    assert settings.admin.bind == "127.0.0.1:9900"
    assert set(settings.origins.values()) == {"default"}


def test_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Key by key, also within one section, and each value says where it is from."""
    file = tmp_path / "lb.toml"
    file.write_text("bind = ':1'\n[health]\nrise = 5\nfall = 6\n")
    settings = load({"LB_HEALTH__FALL": "7", "PATH": "/bin"}, tmp_path)
    health = settings.health
    assert (health.rise, health.fall, health.timeout) == (5, 7, 1)
    assert settings.bind == "0.0.0.0:1"
    assert settings.origins["bind"] == str(file)
    assert settings.origins["health.rise"] == str(file)
    assert settings.origins["health.fall"] == "LB_HEALTH__FALL"
    assert settings.origins["health.timeout"] == "default"


def test_a_bad_value_of_the_file_does_not_matter_when_overridden(
    tmp_path: Path,
) -> None:
    """Only values in force are judged."""
    (tmp_path / "lb.toml").write_text("workers = 0")
    assert load({"LB_WORKERS": "1"}, tmp_path).workers == 1


def test_settings_are_frozen(tmp_path: Path) -> None:
    """Nobody changes them after the start, nor their origins."""
    settings = load({}, tmp_path)
    with pytest.raises(ValidationError):
        settings.bind = "x"
    with pytest.raises(ValidationError):
        settings.health.rise = 1
    with pytest.raises(TypeError):
        settings.origins["bind"] = "x"  # type: ignore[index]


def test_a_token_opens_the_admin_app_beyond_loopback(tmp_path: Path) -> None:
    """Loopback in all its spellings and unix sockets need none."""
    for local in ("localhost:1", "127.9.9.9:1", "[::1]:1", "unix:/run/a.sock"):
        assert load({"LB_ADMIN__BIND": local}, tmp_path).admin.bind == local
    environ = {"LB_ADMIN__BIND": "example.org:1", "LB_ADMIN__TOKEN": "s"}
    assert load(environ, tmp_path).admin.token == "s"
    with pytest.raises(ConfigError, match="without a token"):
        load({"LB_ADMIN__BIND": "example.org:1"}, tmp_path)


def test_lb_config_names_another_file(tmp_path: Path) -> None:
    """Relative to the working folder or absolute; then lb.toml is not read."""
    (tmp_path / "lb.toml").write_text("nonsense")
    other = tmp_path / "other.toml"
    other.write_text("workers = 3")
    for named in ("other.toml", str(other)):
        settings = load({"LB_CONFIG": named}, tmp_path)
        assert (settings.workers, settings.file) == (3, other)


def test_an_empty_lb_config_names_no_file(tmp_path: Path) -> None:
    """Set to nothing is the same as not set."""
    assert load({"LB_CONFIG": ""}, tmp_path).file is None


# what is at the named path (None: nothing), the message after the path
BAD_FILES = [
    (None, " (named by LB_CONFIG): the settings file does not exist"),
    (b"a = 1\nb = \n", " (named by LB_CONFIG): not TOML: "
     "Invalid value (at line 2, column 5)"),
    (b"a = 1\n# \xff\n", " (named by LB_CONFIG): not UTF-8 text (at line 2)"),
    (b"a = " + b"[" * 5000, " (named by LB_CONFIG): not TOML: nested too deeply"),
    (b"#" * ((4 << 20) + 1), " (named by LB_CONFIG): larger than 4194304 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), BAD_FILES)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, data: bytes | None, message: str
) -> None:
    """One line with the path, and with the line of the file where there is one."""
    file = tmp_path / "x.toml"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load({"LB_CONFIG": "x.toml"}, tmp_path)
    assert str(caught.value) == f"{file}{message}"


def test_a_folder_or_a_broken_link_is_no_settings_file(tmp_path: Path) -> None:
    """Only an lb.toml that is truly absent may be left out."""
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load({"LB_CONFIG": "."}, tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        load({"LB_CONFIG": "a\0b"}, tmp_path)
    (tmp_path / "lb.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="does not exist"):
        load({}, tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_not_skipped(tmp_path: Path) -> None:
    """A start with silently other settings would be worse than none."""
    (tmp_path / "lb.toml").write_text("")
    (tmp_path / "lb.toml").chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load({}, tmp_path)


def test_tables_nested_without_end_are_an_unknown_key(tmp_path: Path) -> None:
    """A hostile file gets a message, not a traceback."""
    (tmp_path / "lb.toml").write_text(f"x{'.x' * 5000} = 1")
    with pytest.raises(ConfigError, match=r"^x\.x \(.*unknown key"):
        load({}, tmp_path)


def test_importing_reads_nothing(tmp_path: Path) -> None:
    """Neither the file nor the environment: both are broken here."""
    (tmp_path / "lb.toml").write_text("nonsense")
    environ = {**os.environ, "LB_NOPE": "1", "LB_CONFIG": "x", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "import lb.config; print('imported')"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, timeout=60, text=True
    )
    assert (ended.stdout, ended.stderr) == ("imported\n", "")


def test_names_of_the_admin_app_are_names_or_addresses(tmp_path: Path) -> None:
    environ = {"LB_ADMIN__HOSTS": "LB.example, 10.0.0.1, [::1], fe80::2"}
    hosts = load(environ, tmp_path).admin.hosts
    assert hosts == ("lb.example", "10.0.0.1", "::1", "fe80::2")


@pytest.mark.parametrize("name", ["cafe:80", "10.0.0.1:80", "[::1]:80", "*", ":"])
def test_a_name_with_a_port_would_never_match(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not a host's name"):
        load({"LB_ADMIN__HOSTS": name}, tmp_path)
