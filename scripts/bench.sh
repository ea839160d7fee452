#!/usr/bin/env bash
# Measures the balancer and its peers side by side: scripts/bench.sh [OPTIONS]
#
# Makes a virtual environment and installs into it first, where that is needed.
# wrk and nginx must be there (Debian, Ubuntu: apt install wrk nginx); the other peers
# take part when they are (haproxy, caddy, golang-go). --help tells the options;
# docs/performance.md how to read what comes out.

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

use_venv requirements-bench.txt
exec python -m bench "$@"
