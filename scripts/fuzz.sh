#!/usr/bin/env bash
# Hold our parsers against h11, longer than the tests do: scripts/fuzz.sh [--seconds N] [--seed S]
#
# Generated and mutated messages, whole, cut and followed by others, until the time is
# over (default 60 s) or the two differ in a way that no table explains. The seed
# (default: by the clock) is printed, and each round goes on from it by one, so
# `--seed S` repeats a finding in its first round.

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

seconds=60
seed=$(date +%s)
usage() {
  echo "usage: scripts/fuzz.sh [--seconds N] [--seed S]" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] && [[ $2 =~ ^[0-9]+$ ]] || usage
  case "$1" in
    --seconds) seconds=$2 ;;
    --seed) seed=$2 ;;
    *) usage ;;
  esac
  shift 2
done

use_venv requirements-dev.txt
export FUZZ_EXAMPLES=1000
end=$((SECONDS + seconds))
rounds=0
while [ "$SECONDS" -lt "$end" ]; do
  echo "seed $seed"
  python -m pytest -q --no-header -p no:cacheprovider --hypothesis-seed="$seed" \
    tests/http1/test_differential.py tests/http1/test_body.py ||
    { echo "found with --seed $seed" >&2; exit 1; }
  seed=$((seed + 1))
  rounds=$((rounds + 1))
done
echo "$rounds rounds of $FUZZ_EXAMPLES messages a test: no unexplained difference"
