"""How a setting is declared: its default, meaning, danger and what is allowed.

The sentence that a failed start prints as "allowed" is made here from the same
numbers that pydantic checks, so the two cannot part. The description's first
line is the meaning and names the unit; what follows is the danger. Nothing here
reads anything.
"""

# ruff: noqa: TRY004 - pydantic takes a ValueError, whatever was wrong

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lb.config.sizes import size_bytes, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

DAY_S = 86400.0


class Section(BaseModel):
    """What all sections share: fixed once loaded, no key beyond the declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)


def _no_switch(value: object) -> object:
    # Python counts True as 1: without this, `workers = true` would be 1 worker.
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


Number = Annotated[float, BeforeValidator(_no_switch)]
Seconds = Number
Count = Annotated[int, BeforeValidator(_no_switch)]
Size = Annotated[int, BeforeValidator(size_bytes)]
Unit = Literal["", "s", "bytes"]


def setting(
    default: object,
    meaning: str,
    danger: str = "",
    *,
    allowed: str,
    unit: Unit = "",
    secret: bool = False,
    **checks: Any,
) -> Any:
    """A field with all that the manual and the messages need.

    `default` may be a function without arguments; `checks` are pydantic's own
    (`ge`, `pattern`, ...) and must agree with `allowed`.
    """
    if callable(default):
        checks["default_factory"] = default
    else:
        checks["default"] = default
    return Field(
        description=f"{meaning}\n{danger}".strip(),
        json_schema_extra={"allowed": allowed, "unit": unit, "secret": secret},
        repr=not secret,
        **checks,
    )


def seconds(
    default: float,
    meaning: str,
    danger: str = "",
    *,
    low: float = 0.001,
    high: float = DAY_S,
) -> Any:
    """A time in seconds, up to `high`; 0 only where it means not to wait at all."""
    wanted = f"seconds, a number from {low:g} to {high:g}"
    bounds: dict[str, Any] = {"ge": low, "le": high, "allow_inf_nan": False}
    return setting(default, meaning, danger, allowed=wanted, unit="s", **bounds)


def count(
    default: int | Callable[[], int],
    meaning: str,
    danger: str = "",
    *,
    low: int = 1,
    high: int,
) -> Any:
    """A whole number from `low` to `high`, both included."""
    wanted = f"a whole number from {low} to {high}"
    return setting(default, meaning, danger, allowed=wanted, ge=low, le=high)


def size(default: int, meaning: str, danger: str = "", *, low: int, high: int) -> Any:
    """A number of bytes from `low` to `high`, both included."""
    wanted = (
        f"bytes, from {size_text(low)} to {size_text(high)}, "
        "as a whole number or like 64KiB or 1MiB"
    )
    checks: dict[str, Any] = {"unit": "bytes", "ge": low, "le": high}
    return setting(default, meaning, danger, allowed=wanted, **checks)


def choice(default: str, meaning: str, danger: str = "", *, words: object) -> Any:
    """One word of a `Literal` type."""
    wanted = ", ".join(get_args(words))
    return setting(default, meaning, danger, allowed=wanted)


def _extra(field: FieldInfo, name: str) -> object:
    extra = field.json_schema_extra
    return extra.get(name) if isinstance(extra, dict) else None


def allowed_text(field: FieldInfo) -> str:
    """What the setting takes, as the tail of a sentence."""
    return str(_extra(field, "allowed") or "")


def is_secret(field: FieldInfo) -> bool:
    """Whether the setting's value must never be shown."""
    return bool(_extra(field, "secret"))


def unit_of(field: FieldInfo) -> str:
    """The setting's unit: `s`, `bytes` or nothing."""
    return str(_extra(field, "unit") or "")


def meaning_of(field: FieldInfo) -> str:
    """The setting's meaning in one line, its unit named."""
    return (field.description or "").partition("\n")[0]
