"""The proxies that are compared, each set up for failing backends as its users would.

All have: passive health, as far as they have it; retries of requests that may be
repeated, at another backend, and none of POSTs that a backend may have seen; a return
within seconds: nginx's `fail_timeout` and Evenhand's `eject.time` are 2 s instead of 10
and 30. Where they can, they check `/health` each second, three times down and twice up;
nginx has no active checks without payment, and its workers share what they know
(`zone`). HAProxy marks a backend down after five errors in a row that traffic sees
(`observe`), as Evenhand ejects it.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from bench.peers.evenhand import versions as evenhand_versions
from bench.peers.haproxy import versions as haproxy_versions
from bench.peers.nginx import versions as nginx_versions
from bench.peers.peer import ROOT, Duty, Launch, Peer, needs_program
from bench.static_backends import user_line

EVENHAND: Final = """\
backends = {backends}
bind = "127.0.0.1:{port}"
workers = {workers}
[health]
kind = "http"
path = "/health"
interval = 1
[health.eject]
time = 2
[log]
access = "off"
[state]
path = {state}
"""

NGINX: Final = """\
daemon off;
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/errors.log error;
events {{ worker_connections 4000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/temporary;
  fastcgi_temp_path {folder}/unused;
  uwsgi_temp_path {folder}/unused;
  scgi_temp_path {folder}/unused;
  upstream backends {{
    zone backends 256k;
{servers}
    keepalive 64;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://backends;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 1s;
      proxy_next_upstream error timeout invalid_header http_502 http_503 http_504;
      proxy_next_upstream_tries 3;
    }}
  }}
}}
"""

HAPROXY: Final = """\
global
  maxconn 4000
  nbthread {workers}
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response junk-response 502 503 504
frontend clients
  bind 127.0.0.1:{port}
  http-request disable-l7-retry unless {{ method GET HEAD PUT DELETE OPTIONS }}
  default_backend backends
backend backends
  balance roundrobin
  option httpchk GET /health
  default-server check inter 1s fastinter 500ms fall 3 rise 2
  default-server observe layer7 error-limit 5 on-error mark-down
  default-server on-marked-down shutdown-sessions
{servers}
"""


def launch_evenhand(duty: Duty) -> Launch:
    """gunicorn, with the project's own gunicorn.conf.py."""
    path = duty.folder / "lb.toml"
    path.write_text(
        EVENHAND.format(
            backends=json.dumps(duty.backends),
            port=duty.port,
            workers=duty.workers,
            state=json.dumps(str(duty.folder / "state")),
        )
    )
    argv = (sys.executable, "-m", "gunicorn", "--chdir", str(ROOT), "lb.wsgi:app")
    return Launch(
        (*argv, "-c", str(ROOT / "gunicorn.conf.py")), {"LB_CONFIG": str(path)}
    )


def launch_nginx(duty: Duty) -> Launch:
    """In the foreground, with nothing outside its folder."""
    path = duty.folder / "nginx.conf"
    servers = [
        f"    server {each} max_fails=5 fail_timeout=2s;" for each in duty.backends
    ]
    path.write_text(
        NGINX.format(
            user=user_line(),
            workers=duty.workers,
            folder=duty.folder,
            servers="\n".join(servers),
            port=duty.port,
        )
    )
    return Launch(("nginx", "-p", str(duty.folder), "-c", str(path), "-e", "stderr"))


def launch_haproxy(duty: Duty) -> Launch:
    """In the foreground, one process of several threads."""
    path = duty.folder / "haproxy.cfg"
    servers = (f"  server s{n} {each}" for n, each in enumerate(duty.backends))
    path.write_text(
        HAPROXY.format(workers=duty.workers, port=duty.port, servers="\n".join(servers))
    )
    return Launch(("haproxy", "-db", "-f", str(path)))


PEERS: Final = (
    Peer("evenhand", launch_evenhand, evenhand_versions),
    Peer(
        "nginx",
        launch_nginx,
        nginx_versions,
        needs_program("nginx", "Debian: apt install nginx"),
    ),
    Peer(
        "haproxy",
        launch_haproxy,
        haproxy_versions,
        needs_program("haproxy", "Debian: apt install haproxy"),
    ),
)
