"""HTTP to an admin process: the one door for `requests` of the command line.

Every call has its deadline, no redirect is followed (the token would go with it), and
whatever goes wrong becomes one sentence that names the URL. What the process refuses,
in problem details (RFC 9457), is told in its own words, which are the command line's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import requests

from lb import __version__
from lb.cli.reach.messages import Messages
from lb.errors import OperationError, ReachError, StateFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.cli.reach.messages import Message

CONNECT_S: Final = 3.0
ANSWER_S: Final = 15.0
"""2,000 backends take a busy process a second or two."""

SILENCE_S: Final = 25.0
"""A stream without a byte for so long is broken: it says each 10 s that it lives."""

PROBLEM: Final = "application/problem+json"
OURS: Final = ("application/json", "text/event-stream")
REDIRECTS: Final = 300
NOT_THERE: Final = 404
UNAVAILABLE: Final = 503


class NotThereError(OperationError):
    """What was asked for is not there (404)."""


class _Bearer(requests.auth.AuthBase):
    """The token, or nothing: without this, requests would look into ~/.netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Http:
    """Requests to one admin process.

    Raises:
        ReachError: `url` is none.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = checked_url(url)
        self._has_token = bool(token)
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers["User-Agent"] = f"evenhand/{__version__}"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, *path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """What a GET of these segments below `/api/v1/` answers.

        Raises:
            NotThereError, OperationError, StateFileError: it is refused.
            ReachError: nobody answers, or not as an admin process does.
        """
        return self._ask("GET", path, params=query or {})

    def post(
        self,
        *path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        within_s: float = 0.0,
    ) -> dict[str, Any]:
        """The same for a POST, whose answer may take `within_s` longer."""
        return self._ask(
            "POST",
            path,
            params=query or {},
            json=body,
            headers=headers or {},
            timeout=(CONNECT_S, ANSWER_S + within_s),
        )

    def _ask(self, method: str, path: tuple[str, ...], **more: Any) -> dict[str, Any]:
        answer = self._send(method, path, **{"timeout": (CONNECT_S, ANSWER_S)} | more)
        self._check(answer)
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise self._stranger(answer)
        return told

    def _send(
        self, method: str, path: tuple[str, ...], **more: Any
    ) -> requests.Response:
        target = "/".join(quote(each, "", errors="surrogateescape") for each in path)
        url = f"{self.url}/api/v1/{target}"
        try:
            return self._session.request(method, url, allow_redirects=False, **more)
        except (requests.RequestException, ValueError) as error:
            raise self._unreachable(error) from error

    def stream(self, *path: str, last_id: str = "") -> Iterator[Message]:
        """The messages of a stream, from after `last_id`; ends when it breaks.

        Raises:
            ReachError, StateFileError, OperationError: it cannot be had, or broke.
        """
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        answer = self._send(
            "GET", path, headers=headers, stream=True, timeout=(CONNECT_S, SILENCE_S)
        )
        with answer:
            self._check(answer)
            messages = Messages()
            try:
                for data in answer.iter_content(None):
                    yield from messages.feed(data)
            except requests.RequestException as error:
                raise self._unreachable(error) from error

    def _check(self, answer: requests.Response) -> None:
        """Nothing, if it is a good answer of an admin process."""
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        if answer.status_code < REDIRECTS and kind in OURS:
            return
        if kind != PROBLEM:
            raise self._stranger(answer)
        detail = _detail(answer)
        if answer.status_code in (401, 403, 421):
            hint = "" if self._has_token else "; give it by LB_ADMIN__TOKEN"
            hint = hint if answer.status_code == 401 else ""
            raise ReachError(f"{self.url} refuses: {detail}{hint}")
        kinds = {NOT_THERE: NotThereError, UNAVAILABLE: StateFileError}
        raise kinds.get(answer.status_code, OperationError)(detail)

    def _stranger(self, answer: requests.Response) -> ReachError:
        about = f"{answer.status_code} {answer.reason or ''}".strip()
        kind = answer.headers.get("Content-Type", "no type")
        return ReachError(
            f"{self.url} answers, but not as an admin process of Evenhand:"
            f" {about}, {kind}"
        )

    def _unreachable(self, error: Exception) -> ReachError:
        return ReachError(f"cannot ask {self.url}: {reason_of(error)}")


def checked_url(text: str) -> str:
    """The URL of an admin process, without a slash at its end.

    Raises:
        ReachError: it is none.
    """
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_good = is_good and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good:
        raise ReachError(f"{text!r} is no URL such as http://127.0.0.1:9900")
    if parts.username is not None:
        raise ReachError("a URL with a password in it is seen by all; give a token")
    return text.rstrip("/").partition("?")[0].partition("#")[0].rstrip("/")


def _detail(answer: requests.Response) -> str:
    try:
        told = answer.json()
        return str(told["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason}"


def reason_of(error: BaseException) -> str:
    """Why a request failed, in the words of the system where it has some."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, requests.ReadTimeout):
        return "no answer in time"
    innermost: BaseException = error
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        innermost = cause
    if isinstance(innermost, TimeoutError) or "timed out" in str(innermost):
        return "nothing came in time"
    return str(innermost) or type(innermost).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from, outermost first."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__
