#!/usr/bin/env bash
# Lets everything fail at random for long, then checks that nothing was lost:
# scripts/soak.sh [--minutes N] [--seed S]
#
# A balancer of its own on free ports of loopback, with its backends and clients. The
# seed is printed; the same one makes the same faults at the same times. --help tells
# the other options, docs/resilience.md what is checked. Exit status 1: something did
# not hold. Makes a virtual environment and installs into it first, where needed.

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

use_venv requirements.txt
exec python -m trials soak "$@"
