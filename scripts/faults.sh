#!/usr/bin/env bash
# Fails backends in ten ways, through Evenhand, nginx and HAProxy side by side:
# scripts/faults.sh [--peers NAMES] [--scenarios NAMES]
#
# Prints a table; who is not installed is left out (Debian, Ubuntu: apt install nginx
# haproxy). docs/resilience.md says how each is set up. Makes a virtual environment and
# installs into it first, where needed.

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

use_venv requirements.txt
exec python -m trials faults "$@"
