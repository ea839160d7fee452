# A virtual environment for the scripts beside this file, which source it.
#
# Going to the project's root and having the right packages there is one task, done
# here; what is run with them is each script's own. VENV names the folder (default:
# .venv in the project's root); PYTHON an interpreter to make it with.

set -euo pipefail

case "${VENV:-}" in
  "" | /*) ;;
  *) VENV="$PWD/$VENV" ;; # what the caller meant, before we leave the caller's folder
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
VENV="${VENV:-$PWD/.venv}"

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Prints the first Python that is new enough.
find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  fail "needs Python 3.11 or newer: install python3, or name one by PYTHON=/path/to/python3"
}

# Makes the folder, unless a Python in it runs (a half-made one is made anew).
make_venv() {
  local python
  if "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    return
  fi
  python="$(find_python)"
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module: install it (Debian, Ubuntu: apt install python3-venv)"
  echo "Making a virtual environment in $VENV"
  "$python" -m venv --clear "$VENV"
}

# use_venv FILE: makes the packages of the requirements file FILE the ones in use.
# pip runs only when a requirements file has changed since it last succeeded.
use_venv() {
  local stamp="$VENV/.installed-$1" wanted
  wanted="$(cat requirements*.txt | cksum)"
  if [[ ! -x "$VENV/bin/python" || "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]]; then
    make_venv
    echo "Installing $1 into $VENV (a minute, the first time)"
    "$VENV/bin/python" -m pip install --quiet --quiet --disable-pip-version-check \
      -r "$1" || fail "pip could not install $1; its message is above"
    echo "$wanted" >"$stamp"
  fi
  export VIRTUAL_ENV="$VENV" PATH="$VENV/bin:$PATH"
}
