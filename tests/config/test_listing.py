"""The settings in force as rows: complete, one line each, secrets masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lb.config import load, rows
from lb.config.settings import FIELDS

if TYPE_CHECKING:
    from pathlib import Path


def test_every_key_has_a_row_in_the_order_of_the_manual(tmp_path: Path) -> None:
    """With a meaning that is one line."""
    listed = list(rows(load({}, tmp_path)))
    assert [row.key for row in listed] == list(FIELDS)
    for row in listed:
        assert row.meaning.isprintable()
        assert row.value
        assert row.origin == "default"


def test_a_secret_is_not_in_the_repr(tmp_path: Path) -> None:
    """Settings end up in tracebacks and debug logs."""
    settings = load({"LB_ADMIN__TOKEN": "hunter2"}, tmp_path)
    assert "hunter2" not in repr(settings)


def test_values_are_shown_as_people_write_them(tmp_path: Path) -> None:
    """Sizes with units, times without needless zeros, lists with commas."""
    file = tmp_path / "lb.toml"
    file.write_text('backends = ["a:1", { name = "b", address = "c:2", weight = 3 }]')
    environ = {
        "LB_ADMIN__TOKEN": "secret",
        "LB_HEALTH__BODY": "two\nlines",
        "LB_HEALTH__INTERVAL": "0.25",
        "LB_TRUSTED_PROXIES": "::1,10.0.0.0/8",
    }
    shown = {row.key: (row.value, row.origin) for row in rows(load(environ, tmp_path))}
    assert shown["backends"] == ("a:1, b=c:2 (weight 3)", str(file))
    assert shown["trusted_proxies"] == ("::1/128, 10.0.0.0/8", "LB_TRUSTED_PROXIES")
    assert shown["admin.token"] == ("***", "LB_ADMIN__TOKEN")
    assert shown["health.body"] == ('"two\\nlines"', "LB_HEALTH__BODY")
    assert shown["health.interval"] == ("0.25", "LB_HEALTH__INTERVAL")
    assert shown["health.timeout"] == ("1", "default")
    assert shown["health.status"] == ("200-399", "default")
    assert shown["limits.head_bytes"] == ("64KiB", "default")
    assert shown["demo.controls"] == ("false", "default")
    assert shown["state.path"] == ('""', "default")
