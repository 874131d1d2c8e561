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

find_browser && exit 0
if [ "${1:-}" = --install ] && ! grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null; then
    apt_install chromium || true
    find_browser && exit 0
fi
say "MISSING: Chromium, needed by the tests that drive JupyterLab in a browser (tests/lab)."
say "  Debian, as root:  apt-get install chromium"
say "  any Linux:        .venv/bin/playwright install --with-deps chromium"
say "  or name one:      make test CHROMIUM=/path/to/chrome"
exit 1
