"""nginx, the reference that everything is divided by.

Its own defaults where they are not against the duty; what differs from them, and why:
`keepalive_requests` (its 1,000 would make it connect again and again), `reuseport` for
several workers (else one takes most connections), no request buffering and no
temporary files (bodies are streamed, no disk is measured), a buffered access log.

`nginx-64k` is the same with response buffers of 64 KiB instead of 4 or 8, as people set
who pass on large bodies: as little as a third of the cost there, for some memory.
The reference has the defaults because most have; both are shown because it matters.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from bench.peers.peer import KEEPALIVE_S, Duty, Launch, Peer, needs_program
from bench.processes import output_of
from bench.static_backends import user_line

CONFIG: Final = """\
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16000; }}
http {{
  access_log {access_log};
  keepalive_timeout {keepalive_s}s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/temporary;
  fastcgi_temp_path {folder}/unused;
  uwsgi_temp_path {folder}/unused;
  scgi_temp_path {folder}/unused;
  upstream backends {{
{servers}
    keepalive {pool};
    keepalive_requests 1000000000;
    keepalive_time 1d;
    keepalive_timeout {keepalive_s}s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{reuseport};
    location / {{
      proxy_pass http://backends;
      proxy_http_version 1.1;
      proxy_request_buffering off;
{buffers}
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header Forwarded "for=$remote_addr;proto=$scheme;host=\\"$http_host\\"";
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header Via "1.1 nginx";
      add_header Via "1.1 nginx";
    }}
  }}
}}
"""


LARGE: Final = """\
      proxy_buffer_size 64k;
      proxy_buffers 16 64k;
      proxy_busy_buffers_size 256k;
"""


def config(duty: Duty, buffers: str = "") -> str:
    """The whole configuration; `buffers` are lines about the buffers of responses."""
    log = duty.access_log
    return CONFIG.format(
        user=user_line(),
        workers=duty.workers,
        folder=duty.folder,
        access_log=f"{log} combined buffer=64k flush=1s" if log else "off",
        buffers=buffers,
        keepalive_s=KEEPALIVE_S,
        servers="\n".join(f"    server {address};" for address in duty.backends),
        pool=len(duty.backends) + 1024,
        port=duty.port,
        reuseport=" reuseport" if duty.workers > 1 else "",
    )


def launch(duty: Duty, buffers: str = "") -> Launch:
    """nginx in the foreground, with nothing outside its folder."""
    path = duty.folder / "nginx.conf"
    path.write_text(config(duty, buffers))
    folder = str(duty.folder)
    return Launch(("nginx", "-p", folder, "-c", str(path), "-e", "stderr"))


def versions() -> dict[str, str]:
    """As nginx says."""
    return {"nginx": output_of("nginx", "-v").rpartition("/")[2]}


LACKS: Final = needs_program("nginx", "Debian: apt install nginx")

PEER: Final = Peer("nginx", launch, versions, LACKS)
TUNED: Final = Peer("nginx-64k", partial(launch, buffers=LARGE), versions, LACKS)
