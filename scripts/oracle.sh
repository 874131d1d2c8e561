#!/bin/sh
# oracle.sh FOLDER VERSION: the reference library in an environment of its own (it has our import
# name). Without a Python it runs on, the tests that need it are skipped and say why. Early releases
# are also done without where they do not install.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh
folder=$1 version=$2

case $version in
    1.*) low=11 high=13 extra= ;;
    2.0.*) low=12 high=13 extra= ;;
    *) low=12 high=14 extra='xarray dask scipy' ;;
esac

check() {
    # isolated: from here, `import icechunk` would find the project instead
    "$folder/bin/python" -I -c '
import importlib, sys
assert importlib.import_module("icechunk").__version__ == sys.argv[1]
for name in sys.argv[2:]:
    importlib.import_module(name)' "$version" $extra >/dev/null 2>&1
}

check && exit 0
if ! python=$(find_python $low $high); then
    say "SKIPPED: tests against the reference library $version" \
        "(it needs Python 3.$low to 3.$high, none found)"
    exit 0
fi
make_venv "$python" "$folder"
# shellcheck disable=SC2086  # the packages are words
if ! pip_install "$folder/bin/python" "icechunk==$version" $extra; then
    case $version in
        1.0.* | 2.0.*) rm -rf "$folder" ;;
        *) die "could not install the reference library $version" ;;
    esac
    say "SKIPPED: tests against the reference library $version (it does not install here)"
    exit 0
fi
check || die "the reference environment $folder does not work; remove it and try again"
