"""Health: probes, and the verdicts that follow from them.

`probe` asks a backend, `verdict` makes up its mind from the answers, `schedule`
says when to ask again, and `checker` is the loop that does it for all backends
while this process leads.  Verdicts go into the shared file and nowhere else: the
proxy never calls this package, and this package never calls the proxy.
"""

from lb.health.checker import Checker
from lb.health.settings import HealthSettings

__all__ = ["Checker", "HealthSettings"]
