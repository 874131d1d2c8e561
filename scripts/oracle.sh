#!/bin/sh
# oracle.sh FOLDER: the reference library in an environment of its own (it has our import name).
# Without a Python it runs on, the tests that need it are skipped and say why.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh
folder=$1

check() {
    # isolated: from here, `import icechunk` would find the project instead
    "$folder/bin/python" -I -c '
import icechunk, xarray, dask, scipy
assert icechunk.__version__ == "2.3.0"' >/dev/null 2>&1
}

check && exit 0
if ! python=$(find_python 12 14); then
    say "SKIPPED: tests against the reference library (it needs Python 3.12 to 3.14, none found)"
    exit 0
fi
make_venv "$python" "$folder"
pip_install "$folder/bin/python" icechunk==2.3.0 xarray dask scipy
check || die "the reference environment $folder does not work; remove it and try again"
