"""How commands reach a balancer: by the shared file here, or by the URL of its admin.

    with reach.opened() as operator:
        operator.status()

`operator.py` has the interface, of which the two ways are implementations. Nothing that
one way needs is imported by the other: `lb status` of this machine knows no HTTP.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lb.cli.reach.operator import Operator


@dataclass(frozen=True, slots=True)
class Reach:
    """Which balancer: that of a URL, or without one that of the settings found here."""

    url: str = ""
    token: str | None = None
    """None: as the environment has it."""

    def __repr__(self) -> str:
        return f"<Reach {self.url or 'by the shared file'}>"

    @contextmanager
    def opened(self) -> Iterator[Operator]:
        """What to ask, until the block ends.

        Raises:
            LbError: the URL or the token cannot be used.
        """
        operator = self._by_url() if self.url else self._by_file()
        try:
            yield operator
        finally:
            operator.close()

    def _by_url(self) -> Operator:
        from lb.cli.reach.by_url import UrlOperator
        from lb.config import admin_token

        return UrlOperator(
            self.url, admin_token() if self.token is None else self.token
        )

    def _by_file(self) -> Operator:
        from lb.cli.reach.by_file import FileOperator

        return FileOperator()
