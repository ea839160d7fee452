"""Go's `httputil.ReverseProxy` in a small program (`goproxy.go`), tuned.

Built once into the benchmark's folder; the build needs no network.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from bench.errors import BenchError
from bench.peers.peer import KEEPALIVE_S, Duty, Launch, Peer, needs_program
from bench.processes import output_of

SOURCE: Final = Path(__file__).with_name("goproxy.go")
PROGRAM: Final = "goproxy"
BUILD_S: Final = 300.0


def build(folder: Path) -> None:
    """Compile the program.

    Raises:
        BenchError: the compiler does not like it, or takes too long.
    """
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "gocache"),
        "GOFLAGS": "",
        "GO111MODULE": "off",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    argv = ("go", "build", "-o", str(folder / PROGRAM), str(SOURCE))
    try:
        subprocess.run(  # noqa: S603 # our own command, no shell
            argv,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
        )
    except subprocess.CalledProcessError as error:
        raise BenchError(f"go build: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"go build took longer than {BUILD_S:g} s") from error


def launch(duty: Duty) -> Launch:
    """The program, with as many threads for Go code as others have workers."""
    argv = [str(duty.folder.parent / PROGRAM)]
    argv += ["-listen", f"127.0.0.1:{duty.port}"]
    argv += ["-backends", str(duty.backends_file())]
    argv += ["-keepalive", f"{KEEPALIVE_S}s"]
    if duty.access_log:
        argv += ["-log", str(duty.access_log)]
    return Launch(tuple(argv), {"GOMAXPROCS": str(duty.workers)})


def versions() -> dict[str, str]:
    """As Go says."""
    return {"go": output_of("go", "version").split()[2].removeprefix("go")}


PEER: Final = Peer(
    "go",
    launch,
    versions,
    needs_program("go", "Debian: apt install golang-go"),
    build,
)
