"""What gunicorn's arbiter does for the balancer before and while it forks.

The root `gunicorn.conf.py` is made of these: the settings are read and checked
once, before a socket is opened or a process forked, and the shared file is made,
so that a mistake is one message and an exit, and nothing is half started.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lb import __version__, native
from lb.config import load, rows, state_path, to_document, with_kept
from lb.errors import ConfigError, LbError, StateFileError
from lb.plan import RESTART, make_plan
from lb.proxy.balancer import check
from lb.shm import SharedFile, publish, retire

if TYPE_CHECKING:
    from lb.config import Settings
    from lb.shm import TableRow


def stop_start(error: LbError) -> NoReturn:
    """End the start with the error's message and exit status 1."""
    complain(error)
    sys.exit(1)


def complain(error: LbError, before: str = "") -> None:
    """Tell whoever reads standard error, line by line."""
    for text in str(error).splitlines():
        sys.stderr.write(f"evenhand: {before}{text}\n")


RETIRE_S: Final = 0.5
"""How long the last to leave waits for a `health` process that is told to end too."""

_in_force: list[Settings] = []
"""The settings that this process last found good; empty before the first."""

_generation: list[int] = []
"""Their number in the shared file, once they are there."""

_offered: list[Settings] = []
"""What `configure` is to give while gunicorn reads its settings again."""

COUNTED: Final = ("workers", "worker_connections", "loglevel")
"""gunicorn's settings that follow ours while it runs."""


def settings_in_force() -> Settings:
    """The settings of this arbiter and of the workers it forked; else a fresh load.

    Workers inherit them over the fork, so all agree, also while somebody edits the
    file.

    Raises:
        ConfigError: nothing was loaded before, and what is there now is not good.
    """
    return _in_force[-1] if _in_force else load()


def generation_in_force() -> int:
    """The number of `settings_in_force`, for a process that an arbiter forked; else 0.

    The arbiter has made the shared file, and knows what it says.
    """
    return _generation[-1] if _generation else 0


def configure() -> Settings:
    """The settings for `gunicorn.conf.py`, which gunicorn reads again on SIGHUP.

    At the start, bad ones end it. At a reload they are refused with a message and
    those in force stay.
    """
    if _offered:
        return _offered[-1]
    try:
        settings = load()
        check(settings)
        _in_force[:] = [settings]
    except LbError as error:
        if not _in_force:
            stop_start(error)
        complain(error, "reload refused, the old settings stay: ")
    return _in_force[-1]


def memory_folder() -> str | None:
    """Where heartbeat files belong: a memory file system, where there is one.

    On a disk, one slow write stalls a worker until gunicorn kills it.
    """
    folder = "/dev/shm"  # noqa: S108 - gunicorn makes its own unlinked files there
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def raise_file_limit(connections: int) -> None:
    """Allow this process and its children the descriptors that they may need."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + 256
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def starting(server: Any) -> None:
    """Make the shared file and log the settings in force (gunicorn `on_starting`)."""
    settings = settings_in_force()
    path = state_path(settings)
    is_upgrade = "GUNICORN_PID" in os.environ  # SIGUSR2: the old one still serves
    try:
        if not is_upgrade and "LISTEN_FDS" not in os.environ:  # none is inherited
            check_addresses(server.cfg)
        _put_in_force(settings, replace=is_upgrade)
    except LbError as error:
        stop_start(error)
    raise_file_limit(settings.limits.connections)
    server.log.info("Evenhand %s balances over:", __version__)
    server.log.info("  listening: %s", " ".join(server.cfg.bind))
    server.log.info("  workers: %s", server.cfg.workers)
    for text in in_force_lines(settings):
        server.log.info("  %s", text)
    server.log.info("  state: %s", path)


def _put_in_force(settings: Settings, *, replace: bool) -> None:
    """Tell all processes, now and to come, to go by these settings.

    Raises:
        StateFileError: why they cannot be told; nothing has changed.
    """
    path, document = state_path(settings), to_document(settings)
    number = publish(path, settings.all_backends, replace=replace, document=document)
    _in_force[:], _generation[:] = [settings], [number]


def ready(server: Any) -> None:
    """Let SIGHUP change the settings of the workers that run (gunicorn `when_ready`).

    gunicorn itself would replace all workers: WebSockets would be cut after
    `graceful_timeout`, and pools of connections and counts begin anew. Its main loop
    looks for `handle_hup` on the instance first, so no more than that is replaced;
    its own way is gone on with where ours cannot be.
    """
    server.handle_hup = partial(hang_up, server)


def hang_up(server: Any) -> None:
    """Put in force what the settings say now; what is wrong with them changes nothing.

    Where the workers are cut off from the shared file, which somebody removed, they
    are replaced as gunicorn would.
    """
    before = settings_in_force()
    if (table := table_in_use(state_path(before))) is None:
        server.log.warning("the shared file is gone: the workers are replaced")
        type(server).handle_hup(server)
        return
    try:
        new = load()
        plan = make_plan(before, table[0], new, away=table[1])
        settings = with_kept(new, before, RESTART)
        check(settings)
        cfg = _read_again(server, settings)
        _put_in_force(settings, replace=True)
    except LbError as error:
        complain(error, "reload refused, the old settings stay: ")
        return
    _adopt(server, cfg)
    if settings.workers != cfg.workers and settings.workers != before.workers:
        server.log.warning("workers stay %d: gunicorn's options say so", cfg.workers)
    server.log.info("Settings %d are in force:", generation_in_force())
    for text in plan.lines() if not plan.is_empty else ["nothing has changed"]:
        server.log.info("  %s", text)


def table_in_use(path: Path) -> tuple[list[TableRow], list[TableRow]] | None:
    """The rows of a shared file that processes use, and who was removed at run time.

    None if there is no such file.
    """
    with suppress(StateFileError), SharedFile.open(path) as file:
        return (file.rows(), file.removed()) if file.is_in_use() else None
    return None


def _read_again(server: Any, settings: Settings) -> Any:
    """gunicorn's settings, as they follow from these and its command line.

    Raises:
        ConfigError: gunicorn.conf.py, which may have been edited, is not good.
    """
    app, cfg = server.app, server.cfg
    _offered[:] = [settings]
    try:
        app.reload()
    except SystemExit as error:  # it has printed why
        raise ConfigError("gunicorn cannot use its own settings") from error
    else:
        return app.cfg
    finally:
        app.cfg = cfg
        _offered.clear()


def _adopt(server: Any, cfg: Any) -> None:
    """Let gunicorn follow the settings as far as it can while it runs."""
    old = server.cfg
    for name, setting in cfg.settings.items():
        value, before = setting.get(), old.settings[name].get()
        if value == before or callable(value):
            continue
        if name not in COUNTED:
            server.log.warning("gunicorn's %s stays until a restart", name)
            continue
        old.set(name, value)
        if name == "workers":
            server.num_workers = value
        elif name == "loglevel":
            server.log.error_log.setLevel(value.upper())
    raise_file_limit(old.worker_connections)
    # As gunicorn does at a reload, for who has moved a log file away.
    if old.errorlog != "-":
        server.handle_usr1()


def check_addresses(cfg: Any) -> None:
    """Make sure that gunicorn will be able to listen: it would retry for 5 s.

    Raises:
        ConfigError: which address cannot be had, and why.
    """
    for address in cfg.address:
        if not isinstance(address, tuple):  # a unix socket's path, or a descriptor
            continue
        host, port = address
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if cfg.reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                sock.bind((host, port))
            except OSError as error:
                raise ConfigError(
                    f"cannot listen on {host}:{port}: {error.strerror}; stop what"
                    " listens there, or choose another address by bind or -b"
                ) from error


def reloading(server: Any) -> None:
    """Put changed settings in force where gunicorn reloads (gunicorn `on_reload`).

    It does where `hang_up` leaves it to it, or is not there.
    """
    try:
        _put_in_force(settings_in_force(), replace=True)
    except LbError as error:
        server.log.error("the backends stay as they are: %s", error)


def upgrading(server: Any) -> None:
    """Start the new program as this one was started (gunicorn `pre_exec`, SIGUSR2).

    gunicorn would start its `__main__.py` as a script where it was started by
    `python -m gunicorn`, whose folder then hides modules of the standard library.
    """
    server.START_CTX["args"] = [sys.executable, *sys.orig_argv[1:]]


def exiting(_server: Any) -> None:
    """Remove a shared file whose place was chosen here (gunicorn `on_exit`).

    Of one that the operator named only the settings beside it go. One that is still
    in use stays as it is: by a `health` process, or by the arbiter that SIGUSR2
    started.
    """
    settings = settings_in_force()
    path, keep = state_path(settings), bool(settings.state.path)
    deadline = monotonic() + RETIRE_S
    while not retire(path, keep=keep) and monotonic() < deadline:
        native.sleep(RETIRE_S / 10)


def in_force_lines(settings: Settings) -> list[str]:
    """The settings as one line per section; what is not the default says its origin."""
    lines: dict[str, list[str]] = {}
    for key, value, origin, _ in rows(settings):
        section, _, name = key.rpartition(".")
        short = Path(origin).name if os.sep in origin else origin
        source = "" if origin == "default" else f" [{short}]"
        lines.setdefault(section or key, []).append(
            f"{name}={value}{source}" if section else f"{value}{source}"
        )
    # What was chosen in the end stands in lines of its own.
    for key in ("bind", "workers", "state"):
        del lines[key]
    return [f"{section}: {' '.join(values)}" for section, values in lines.items()]
