"""gunicorn's settings for the balancer itself.

gunicorn loads this file for every application started in this folder; the demo
backends and the admin app name a file of their own with -c. What stands here wins
over WEB_CONCURRENCY and PORT in the environment (honcho sets PORT for each line of
the Procfile); the command line (-b, -w, -k, ...) wins over what stands here.
"""

from lb import arbiter

_settings = arbiter.configure()

worker_class = "lb.worker.ProxyWorker"
bind = [_settings.bind]
workers = _settings.workers
worker_connections = _settings.limits.connections
loglevel = _settings.log.level
backlog = 4096
graceful_timeout = 30
proc_name = "evenhand"

# Heartbeat files on a disk can stall a worker until gunicorn kills it.
worker_tmp_dir = arbiter.memory_folder()

# Its socket has one path per user: two bundles would share it.
control_socket_disable = True

on_starting = arbiter.starting
on_reload = arbiter.reloading


def post_worker_init(worker: object) -> None:
    """Start balancing at once, also in a worker class that serves by WSGI."""
    if type(worker).__name__ != "ProxyWorker":
        from lb.wsgi import app

        app.start()
