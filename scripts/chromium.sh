# Chromium for the browser tests, which scripts/test.sh sources this for.
#
# Installed by Debian's and Ubuntu's packages where that may be done without asking: as
# root, with apt-get. Whatever goes wrong there, the other tests run, and the browser's
# own say at the end that they did not. CHROMIUM names one that lies elsewhere.

CHROMIUM_NAMES="chromium chromium-browser google-chrome-stable google-chrome"
CHROMIUM_UPDATE_S=180
CHROMIUM_INSTALL_S=600

# Whether a Chromium runs here. (Ubuntu's may be a stub that asks for a snap.)
has_chromium() {
  local name
  for name in ${CHROMIUM:+"$CHROMIUM"} $CHROMIUM_NAMES; do
    if timeout 20 "$name" --version 2>/dev/null </dev/null | grep -qi chrom; then
      return 0
    fi
  done
  return 1
}

# apt_get SECONDS ARGUMENTS: quietly, without questions, and not for ever: 60 s for
# another that holds the lock, and SECONDS for all of it.
apt_get() {
  local seconds="$1"
  shift
  DEBIAN_FRONTEND=noninteractive timeout --kill-after=10 "$seconds" \
    apt-get -qq -o DPkg::Lock::Timeout=60 -o Acquire::Retries=2 "$@" </dev/null >/dev/null
}

# Installs Chromium if none runs; never fails.
use_chromium() {
  if has_chromium; then
    return 0
  fi
  if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the browser tests (a minute or two, the first time)"
    # Without the lists of packages, or with old ones, there is nothing to install.
    apt_get "$CHROMIUM_UPDATE_S" update || true
    apt_get "$CHROMIUM_INSTALL_S" install -y --no-install-recommends chromium || true
  fi
  if ! has_chromium; then
    echo "test.sh: NO CHROMIUM: the browser tests will be skipped (apt-get install" \
      "chromium, or CHROMIUM=/path/to/it)" >&2
  fi
  return 0
}
