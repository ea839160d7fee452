"""HAProxy: its TCP health checks on, as Evenhand's are, and idle connections shared."""

from __future__ import annotations

from typing import Final

from bench.peers.peer import KEEPALIVE_S, Duty, Launch, Peer, needs_program
from bench.processes import output_of

CONFIG: Final = """\
global
  maxconn 7000
  nbthread {workers}
  {global_log}
defaults
  mode http
  timeout connect 3s
  timeout client {keepalive_s}s
  timeout server 60s
  timeout http-request 10s
  timeout http-keep-alive {keepalive_s}s
  http-reuse always
  {log}
frontend clients
  bind 127.0.0.1:{port} backlog 4096
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Forwarded for=%[src];proto=http;host="%[req.hdr(host)]"
  http-request set-header X-Request-Id %[uuid()]
  http-request add-header Via "1.1 haproxy"
  http-response add-header Via "1.1 haproxy"
  default_backend backends
backend backends
  balance roundrobin
  default-server check inter {interval_ms}ms pool-purge-delay {keepalive_s}s
{servers}
"""


def config(duty: Duty) -> str:
    """The whole configuration; HAProxy logs to its output, which goes to the file."""
    servers = (f"  server s{n} {address}" for n, address in enumerate(duty.backends))
    return CONFIG.format(
        workers=duty.workers,
        global_log="log stdout format raw local0" if duty.access_log else "",
        log="log global\n  option httplog" if duty.access_log else "",
        keepalive_s=KEEPALIVE_S,
        port=duty.port,
        interval_ms=int(duty.probe_interval_s * 1000),
        servers="\n".join(servers),
    )


def launch(duty: Duty) -> Launch:
    """HAProxy in the foreground, one process of several threads."""
    path = duty.folder / "haproxy.cfg"
    path.write_text(config(duty))
    return Launch(("haproxy", "-db", "-f", str(path)))


def versions() -> dict[str, str]:
    """As HAProxy says."""
    return {"haproxy": output_of("haproxy", "-v").split()[2]}


PEER: Final = Peer(
    "haproxy", launch, versions, needs_program("haproxy", "Debian: apt install haproxy")
)
