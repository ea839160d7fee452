"""What may be asked for: queries and bodies, checked before anything is done.

Each is a model of pydantic, so the same lines check a request and describe it in the
OpenAPI document. What is not known is refused: a misspelled filter must not pass for
none.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from werkzeug.exceptions import UnsupportedMediaType

MOST_WAIT_S: Final = 3600.0
MOST_LISTED: Final = 10_000
MOST_EVENTS: Final = 1024
MOST_CHANGED: Final = 4096
"""As many as a table has room for."""
MOST_MISBEHAVING_S: Final = 60.0
MOST_LOAD_S: Final = 120.0

Mode = Literal["slow", "failing", "hanging", "dead"]
"""What a demo backend can be made; a dead one takes some seconds more to return."""

Wait = Annotated[
    float | None,
    Field(
        ge=0,
        le=MOST_WAIT_S,
        allow_inf_nan=False,
        description="seconds to wait until it is done; what drains is cut then",
    ),
]


class _Asked(BaseModel):
    """A query or body; what it does not name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Asked = TypeVar("Asked", bound=_Asked)


class Waiting(_Asked):
    """How long a change is waited for."""

    wait: Wait = None


class WhichRequests(_Asked):
    """Which of the recorded requests are listed, the newest first."""

    slow: Annotated[
        float | None,
        Field(
            ge=0,
            le=1e6,
            allow_inf_nan=False,
            description="the slowest first, of those that took so many seconds",
        ),
    ] = None
    failed: Annotated[
        bool, Field(description="only those that did not end well, or got a 5xx")
    ] = False
    backend: Annotated[
        str | None, Field(description="only those that were sent to that backend")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 20


class WhichEvents(_Asked):
    """Which events are listed, the oldest first."""

    backend: Annotated[
        str | None, Field(description="only those about that backend")
    ] = None
    after: Annotated[
        str | None, Field(description="the cursor of an earlier answer")
    ] = None
    limit: Annotated[
        int, Field(ge=1, le=MOST_EVENTS, description="how many, of the newest")
    ] = MOST_EVENTS


class NewWeight(_Asked):
    """Another weight."""

    weight: Annotated[int, Field(ge=1, le=256, strict=True)]


class NewBackend(_Asked):
    """A backend to be added, or the name of one that was removed."""

    backend: Annotated[
        str,
        Field(
            min_length=1,
            max_length=400,
            description="NAME=ADDRESS or ADDRESS, as in the settings",
            examples=["web3=10.0.0.3:80"],
        ),
    ]
    weight: Annotated[int | None, Field(ge=1, le=256, strict=True)] = None
    set: Annotated[str | None, Field(max_length=64)] = None
    max_in_flight: Annotated[int | None, Field(ge=0, le=1_000_000, strict=True)] = None
    backup: Annotated[bool | None, Field(strict=True)] = None


class Changes(_Asked):
    """One change of several backends: of all of them or, if one cannot be, of none.

    `add` takes `backends`; every other change `names`, or `all`.
    """

    change: Literal["drain", "maint", "ready", "weight", "remove", "add"]
    names: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=400)]],
        Field(max_length=MOST_CHANGED, description="names or addresses"),
    ] = []
    all: Annotated[bool, Field(strict=True, description="every backend")] = False
    weight: Annotated[
        int | None, Field(ge=1, le=256, strict=True, description="for `weight`")
    ] = None
    backends: Annotated[
        list[NewBackend], Field(max_length=MOST_CHANGED, description="for `add`")
    ] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        is_add = self.change == "add"
        if is_add != bool(self.backends):
            raise ValueError("`add` needs `backends`, and nothing else takes them")
        if is_add and (self.names or self.all):
            raise ValueError("`add` takes `backends`, not `names` or `all`")
        if not is_add and self.all == bool(self.names):
            raise ValueError("give either `names` or `all`")
        if (self.weight is not None) != (self.change == "weight"):
            raise ValueError("`weight` needs a `weight`, and nothing else takes one")
        return self


class Misbehave(_Asked):
    """How a demo backend is to misbehave."""

    mode: Mode
    seconds: Annotated[
        float, Field(ge=1, le=MOST_MISBEHAVING_S, allow_inf_nan=False, strict=True)
    ] = 15.0


class SomeLoad(_Asked):
    """How long the demo's balancer is to be sent some requests."""

    seconds: Annotated[
        float, Field(ge=1, le=MOST_LOAD_S, allow_inf_nan=False, strict=True)
    ] = 60.0


def query(model: type[Asked]) -> Asked:
    """The query of the request at hand. Raises: ValidationError."""
    return model.model_validate(request.args.to_dict())


def body(model: type[Asked]) -> Asked:
    """Its body. Raises: ValidationError, UnsupportedMediaType."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("the body must be application/json")
    return model.model_validate_json(request.get_data())
