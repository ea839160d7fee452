#!/usr/bin/env bash
# Loads a running balancer with Locust and reports how it did.

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

users=50
seconds=10
url=http://127.0.0.1:8080
report=reports/loadtest.html

usage() {
  cat <<END
usage: scripts/loadtest.sh [--users N] [--time SECONDS] [--url URL]

Fetches URL again and again by N users at once (default: $users) for some seconds
(default: $seconds). URL is the running balancer's (default: $url).
Prints rate, latency, failures and the share of each backend, and writes $report.
The exit status is not zero when any request failed, or none was made.
END
}

while (($#)); do
  case "$1" in
    -h | --help) usage && exit ;;
    --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
  esac
  case "$1" in
    --users | --time | --url) (($# > 1)) || fail "$1 needs a value" ;;
    *) fail "unknown option $1 (--help tells more)" ;;
  esac
  case "$1" in
    --users) users="$2" ;;
    --time) seconds="${2%s}" ;;
    --url) url="${2%/}" ;;
  esac
  shift 2
done
[[ "$users" =~ ^[1-9][0-9]{0,4}$ ]] || fail "--users must be from 1 to 99999, not '$users'"
[[ "$seconds" =~ ^[1-9][0-9]{0,4}$ ]] || fail "--time must be from 1 to 99999 seconds, not '$seconds'"
[[ "$url" =~ ^https?://[^/]+ ]] || fail "--url must begin with http:// or https://, not '$url'"

use_venv requirements-dev.txt
mkdir -p "$(dirname "$report")" && rm -f "$report"
echo "Loading $url with $users users for $seconds s"
status=0
python -m locust -f scripts/locustfile.py --headless --only-summary --loglevel WARNING \
  --host "$url" --users "$users" --spawn-rate "$users" --run-time "${seconds}s" \
  --html "$report" || status=$?
[[ ! -s "$report" ]] || echo "Charts: $report"
exit "$status"
