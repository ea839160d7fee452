#!/usr/bin/env bash
# Starts the whole bundle of the Procfile: scripts/start.sh [HONCHO ARGUMENTS]
#
# Makes a virtual environment and installs into it first, where that is needed.
# Ctrl-C stops everything. Arguments go to `honcho start`, for example the names
# of some lines: scripts/start.sh backend1 backend2

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

use_venv requirements.txt
exec python -m honcho start "$@"
