"""The admin app over a real shared file, whose answers are all held to its document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from lb.admin import create_app
from lb.admin.openapi import OPERATIONS, document
from lb.config import load
from lb.model import Verdict
from lb.shm import Leadership, ProbeRecord, SharedFile, VerdictWriter, publish
from tests.shm.children import backends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask
    from werkzeug.test import TestResponse

    from lb.model import Backend

HOST = "localhost:9900"


def schema_of(method: str, path: str, status: int) -> tuple[str, Any]:
    """The media type and schema that the document has for that answer."""
    for operation in sorted(OPERATIONS, key=lambda each: each.path.count("{")):
        if operation.method == method.lower() and fits(operation.path, path):
            told = document()["paths"][operation.path][operation.method]
            ((media_type, content),) = told["responses"][str(status)]["content"].items()
            return media_type, content["schema"]
    raise AssertionError(f"{method} {path} is not in the document")


def fits(template: str, path: str) -> bool:
    head, brace, rest = template.partition("{")
    if not brace:
        return template == path
    tail = rest.partition("}")[2]
    return path.startswith(head) and path.endswith(tail) and len(path) > len(head)


class Scene:
    """A file with two backends, somebody who serves and somebody who checks."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.path = folder / "state"
        self.backends: list[Backend] = backends(9001, 9002)
        publish(self.path, self.backends)
        self.file = SharedFile.open(self.path)
        self.slot = self.file.take_slot()
        self.recorder = self.slot.recorder()
        self.settings = load(
            {
                "LB_STATE__PATH": str(self.path),
                "LB_BACKENDS": "web9001=127.0.0.1:9001,web9002=127.0.0.1:9002",
                **env,
            },
            folder,
        )
        self.app: Flask = create_app(self.settings)
        self.client = self.app.test_client()
        leadership = Leadership(self.file)
        leadership.try_acquire()
        self.pen = VerdictWriter(self.file, leadership)
        self.see_all()

    def see_all(self) -> None:
        """The one that serves has seen all changes."""
        self.slot.see(self.file.generation())

    def judge(self, row: int, verdict: Verdict, reason: str = "so it is") -> None:
        probe = ProbeRecord(1000.0, 0.002, verdict is Verdict.UP, reason)
        self.pen.record_probe(row, row + 1, probe)
        self.pen.set_verdict(row, row + 1, verdict, reason=reason, at=1000.0)
        self.see_all()

    def ask(self, method: str, target: str, **more: Any) -> TestResponse:
        """The answer, which is as the document says."""
        headers = {"Host": HOST} | more.pop("headers", {})
        answer = self.client.open(target, method=method, headers=headers, **more)
        path = target.partition("?")[0]
        media_type, schema = schema_of(method, path, answer.status_code)
        assert answer.mimetype == media_type, answer.get_data(as_text=True)
        if media_type.endswith("json"):
            whole = {**schema, "components": document()["components"]}
            jsonschema_rs.validate(whole, json.loads(answer.data))
        return answer

    def get(self, target: str) -> Any:
        """What a GET tells."""
        answer = self.ask("GET", target)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.json

    def close(self) -> None:
        self.app.extensions["source"].close()
        self.file.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Scene]:
    """One that has a token."""
    made = Scene(tmp_path, LB_ADMIN__TOKEN="let-me-in", LB_ADMIN__HOSTS="lb.example")
    yield made
    made.close()
