#!/usr/bin/env bash
# Lint, types and all tests: scripts/test.sh [PYTEST ARGUMENTS]
#
# Makes a virtual environment and installs into it first, where that is needed, and
# Chromium for the browser tests, where it may.

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
source scripts/chromium.sh

use_venv requirements-dev.txt
use_chromium
ruff check .
ruff format --check .
mypy
exec python -m pytest "$@"
