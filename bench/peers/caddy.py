"""Caddy: without its admin port and certificates, a large pool, no compression.

It passes no `keepalive` limit of its own on to many backends: 1,024 idle connections
per backend are allowed instead of its 32.
"""

from __future__ import annotations

from typing import Final

from bench.peers.peer import KEEPALIVE_S, Duty, Launch, Peer, needs_program
from bench.processes import output_of

CONFIG: Final = """\
{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
  servers {{
    timeouts {{
      idle {keepalive_s}s
    }}
    protocols h1
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  {log}
  header +Via "1.1 caddy"
  reverse_proxy {{
{servers}
    lb_policy round_robin
    header_up Forwarded "for={{remote_host}};proto=http;host={{host}}"
    header_up X-Request-Id {{http.request.uuid}}
    header_up +Via "1.1 caddy"
    transport http {{
      compression off
      keepalive {keepalive_s}s
      keepalive_idle_conns 8192
      keepalive_idle_conns_per_host 1024
    }}
  }}
}}
"""

LOG: Final = """\
log {{
    output file {path}
    format json
    level INFO
  }}"""


def config(duty: Duty) -> str:
    """The Caddyfile."""
    log = duty.access_log
    return CONFIG.format(
        keepalive_s=KEEPALIVE_S,
        port=duty.port,
        log=LOG.format(path=log) if log else "",
        servers="\n".join(f"    to {address}" for address in duty.backends),
    )


def launch(duty: Duty) -> Launch:
    """Caddy in the foreground, with nothing outside its folder."""
    path = duty.folder / "Caddyfile"
    path.write_text(config(duty))
    argv = ("caddy", "run", "--adapter", "caddyfile", "--config", str(path))
    folder = str(duty.folder)
    environment = {"HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_DATA_HOME": folder}
    return Launch(argv, {**environment, "GOMAXPROCS": str(duty.workers)})


def versions() -> dict[str, str]:
    """As Caddy says."""
    return {"caddy": (output_of("caddy", "version").split() or ["unknown"])[0]}


PEER: Final = Peer(
    "caddy", launch, versions, needs_program("caddy", "Debian: apt install caddy")
)
