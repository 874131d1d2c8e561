#!/bin/sh
# servers.sh [--ceph]: the servers of tests/storage that pip does not bring, where this machine lets
# them be installed. Without one, the tests that need it are skipped and say why.
#   azurite  the emulator of Azure Blob Storage, by npm, into .servers
#   nginx    a web server, by apt as root
#   radosgw  Ceph's S3 gateway, by apt as root: 290 MB, only with --ceph
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

azurite() { [ -e .servers/node_modules/azurite/dist/src/blob/main.js ]; }
nginx_is_there() { command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ]; }
radosgw_is_there() { command -v radosgw >/dev/null 2>&1 && command -v ceph-osd >/dev/null 2>&1; }

if ! azurite && command -v npm >/dev/null 2>&1; then
    say "npm install azurite"
    mkdir -p .servers
    npm install --prefix .servers --no-audit --no-fund --silent azurite@3.37.0 >/dev/null || true
fi
azurite || say "SKIPPED: tests against Azure's emulator (it needs npm and a registry)"

# Debian starts services when it installs them; policy-rc.d is its way of saying no.
quietly() {
    policy=/usr/sbin/policy-rc.d
    if is_root && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt_install "$@" || true
}

nginx_is_there || quietly nginx-light
nginx_is_there || say "SKIPPED: tests against nginx. Debian, Ubuntu, as root:  apt-get install nginx-light"

if [ "${1:-}" = --ceph ]; then
    radosgw_is_there || quietly radosgw ceph-mon ceph-osd
    radosgw_is_there || say "SKIPPED: tests against radosgw (Debian, Ubuntu: radosgw ceph-mon ceph-osd)"
fi
