#!/bin/sh
# browser.sh [--install]: print the Chromium (or Chrome) that the browser tests shall drive.
# Exit 1, with what to do, where none is found and none can be installed.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

find_browser() {
    for candidate in "${CHROMIUM:-}" chromium google-chrome google-chrome-stable chromium-browser \
        "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-*/chrome-linux*/chrome; do
        [ -n "$candidate" ] || continue
        path=$(command -v "$candidate" 2>/dev/null) || continue
        # Ubuntu's chromium-browser is a stub that asks for a snap: only a browser tells its version.
        case $("$path" --version 2>/dev/null) in
            *Chrom*) printf '%s\n' "$path"; return 0 ;;
        esac
    done
    return 1
}

# Playwright's driver is a program of its own; the smallest systems lack a library that it needs.
driver_can_run() {
    [ -x /sbin/ldconfig ] || return 0
    /sbin/ldconfig -p | grep -q 'libatomic\.so\.1'
}

found() { driver_can_run && find_browser; }

found && exit 0
if [ "${1:-}" = --install ]; then
    driver_can_run || apt_install libatomic1 || true
    # Ubuntu's package of this name is a stub for a snap
    find_browser >/dev/null || grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null ||
        apt_install chromium || true
    found && exit 0
fi
say "MISSING for the tests that drive JupyterLab in a browser (tests/lab):"
if ! find_browser >/dev/null; then
    say "  Chromium or Chrome.  Debian, as root:  apt-get install chromium"
    say "                       any Linux:        .venv/bin/playwright install --with-deps chromium"
    say "                       or name one:      make test CHROMIUM=/path/to/chrome"
fi
driver_can_run || say "  libatomic.           Debian, Ubuntu, as root:  apt-get install libatomic1"
exit 1
