#!/usr/bin/env bash
# Lint, types and all tests: scripts/test.sh [PYTEST ARGUMENTS]
#
# Makes a virtual environment and installs into it first, where that is needed.

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

use_venv requirements-dev.txt
ruff check .
ruff format --check .
mypy
exec python -m pytest "$@"
