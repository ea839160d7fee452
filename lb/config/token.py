"""The token for a balancer elsewhere, as the environment has it.

Of that variable alone: the settings that are found here are those of a balancer here,
and a token in their file is nobody else's business.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from lb.config.sources import variable_of
from lb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = variable_of("admin.token")
_TOKEN: Final = re.compile("[!-~]{0,256}")


def admin_token(environ: Mapping[str, str] = os.environ) -> str:
    """The token that `LB_ADMIN__TOKEN` gives; empty for none.

    Raises:
        ConfigError: it is none.
    """
    return checked_token(environ.get(VARIABLE, ""), VARIABLE)


def checked_token(text: str, origin: str) -> str:
    """The token in `text`, which stood in `origin`, without what surrounds it.

    Raises:
        ConfigError: it is none; the message does not repeat it.
    """
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"{origin}: no token; allowed: up to 256 ASCII characters without spaces"
        )
    return token
