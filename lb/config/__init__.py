"""The settings: a TOML file plus the environment, checked once at the start.

Everything else in Evenhand gets its settings handed in, so this package is the
only reader of the environment. Importing it reads nothing; `load` does. The keys
with their units, defaults and dangers are declared in `settings.py`,
`sections.py`, `balance.py`, `traffic.py` and `routes.py`; `lb.toml` at the root of
the project is the manual.
"""

from lb.config.balance import Balance, Queue, Sticky
from lb.config.changes import KeyChange, changed_keys
from lb.config.document import from_document, load_again, to_document, with_kept
from lb.config.health import Health
from lb.config.listing import Row, rows
from lb.config.loading import load
from lb.config.routes import Route
from lb.config.sections import Admin, Demo, Log, State
from lb.config.sets import SetSettings
from lb.config.settings import Settings, health_by_set
from lb.config.statefile import state_path
from lb.config.statuses import StatusSet
from lb.config.token import admin_token, checked_token
from lb.config.traffic import Headers, Limits, Pool, Retries, Timeouts

__all__ = [
    "Admin",
    "Balance",
    "Demo",
    "Headers",
    "Health",
    "KeyChange",
    "Limits",
    "Log",
    "Pool",
    "Queue",
    "Retries",
    "Route",
    "Row",
    "SetSettings",
    "Settings",
    "State",
    "StatusSet",
    "Sticky",
    "Timeouts",
    "admin_token",
    "changed_keys",
    "checked_token",
    "from_document",
    "health_by_set",
    "load",
    "load_again",
    "rows",
    "state_path",
    "to_document",
    "with_kept",
]
