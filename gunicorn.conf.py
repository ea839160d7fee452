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

# Through WSGI too: no client on loopback may say that it came by https (gunicorn
# believes X-Forwarded-Proto from there) or where the application is mounted.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

on_starting = arbiter.starting
when_ready = arbiter.ready
on_reload = arbiter.reloading
pre_exec = arbiter.upgrading
on_exit = arbiter.exiting


def post_worker_init(worker: object) -> None:
    """Start balancing at once, also in a worker class that serves by WSGI."""
    if type(worker).__name__ != "ProxyWorker":
        from lb.wsgi import app

        app.start()


def worker_exit(server: object, worker: object) -> None:
    """Write the rest of the access log and give back the slot, as the other lane."""
    if type(worker).__name__ != "ProxyWorker":
        from lb.wsgi import app

        app.stop()
