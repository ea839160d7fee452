"""The admin app: what people and programs see of a balancer, and change on it.

A Flask application in a process of its own, so that a busy or attacked data plane and
its operator do not disturb each other. It reads the shared file, as `lb.report` tells
it, and changes it by `lb.operating`; no worker is talked to. Read in this order:

    guard      who may ask, and who may change something
    problems   how it says no
    source     the shared file, as long as there is one; in_force: its settings
    reading    GET: backends, workers, requests, events, settings
    changing   drain, ready, maint, weight, add, remove
    demo       what a newcomer may do to the demo's backends, where it is switched on
    streaming  the same news as they happen; snapshots
    scraping   /metrics
    openapi    the description of all this
    page       the dashboard, which asks all this from a browser

Importing starts nothing and opens nothing: the first request opens the shared file.
"""

from lb.admin.app import create_app

__all__ = ["create_app"]
