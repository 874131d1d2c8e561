#!/bin/sh
# front.sh install|check|test: the TypeScript half; a no-op with a clear line without Node 20.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

[ -f jupyterlab_extension/package.json ] || exit 0
major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 20 ] || ! command -v npm >/dev/null 2>&1; then
    say "SKIPPED: front-end $1 (needs Node.js 20 or newer with npm; found: $(node --version 2>/dev/null || echo none))"
    exit 0
fi
cd jupyterlab_extension
case $1 in
    install)
        # npm writes this file last: it is older than the lock exactly when an install is due
        [ node_modules/.package-lock.json -nt package-lock.json ] && exit 0
        say "npm ci (jupyterlab_extension)"
        npm ci --no-audit --no-fund --loglevel=error
        touch node_modules/.package-lock.json
        ;;
    check) say "tsc" && npm run --silent check ;;
    test) say "vitest, and the committed bundles against their sources" &&
        npm test --silent && npm run --silent verify ;;
    *) die "front.sh install|check|test" ;;
esac
