"""The reverse proxy that tutorials show: a Flask view that calls `requests`.

Kept as it is found there: a connection per request, whole bodies in memory. Run by
gunicorn's gevent worker (`bench.peers.plain`).
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import requests
from flask import Flask, Response, request

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
EXCLUDED = {"content-encoding", "content-length", "transfer-encoding", "connection"}
TIMEOUT_S = 60

app = Flask(__name__, static_folder=None)
backends = itertools.cycle(Path(os.environ["BENCH_BACKENDS"]).read_text().split())


@app.route("/", defaults={"path": ""}, methods=METHODS)
@app.route("/<path:path>", methods=METHODS)
def proxy(path: str) -> Response:
    """Ask the next backend and give back what it says."""
    answer = requests.request(
        request.method,
        f"http://{next(backends)}/{path}",
        params=request.args.to_dict(flat=False),
        headers={
            **{name: value for name, value in request.headers if name != "Connection"},
            "X-Forwarded-For": request.remote_addr or "",
            "X-Forwarded-Proto": request.scheme,
            "X-Forwarded-Host": request.host,
            "Via": "1.1 flask",
        },
        data=request.get_data(),
        allow_redirects=False,
        timeout=TIMEOUT_S,
    )
    fields = [
        (name, value)
        for name, value in answer.headers.items()
        if name.lower() not in EXCLUDED
    ]
    return Response(answer.content, answer.status_code, fields)
