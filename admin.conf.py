"""gunicorn's settings for the admin app, which the Procfile names by -c.

It keeps gunicorn.conf.py, which is the balancer's, from being loaded. What
stands here wins over WEB_CONCURRENCY and PORT in the environment.
"""

from lb import arbiter
from lb.admin import serving

_settings = serving.configure()

worker_class = "lb.admin.worker.AdminWorker"
workers = 1
threads = serving.THREADS
bind = [_settings.admin.bind]
loglevel = _settings.log.level
proc_name = "evenhand-admin"

# Below the 5 s that honcho gives; streams end within 0.25 s of the stop.
graceful_timeout = 3
# Longer than Prometheus' usual interval, so that it keeps its connection.
keepalive = 75

worker_tmp_dir = arbiter.memory_folder()
control_socket_disable = True
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

on_starting = serving.starting
post_worker_init = serving.begun
worker_exit = serving.ended
