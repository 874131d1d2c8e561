#!/bin/sh
# lowest.sh FOLDER: the oldest Python with the oldest release that pyproject.toml allows of each
# package the engine, the notebook half and the `xarray` and `dask` extras name.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh
folder=$1

[ "$folder/.installed" -nt pyproject.toml ] && [ "$folder/.installed" -nt scripts/lowest.sh ] && exit 0
if ! python=$(find_python 11 11); then
    say "SKIPPED: a run with the oldest releases (no Python 3.11 found)"
    exit 0
fi
pins=$("$python" -c '
import re, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
for line in project["dependencies"] + extras["xarray"] + extras["dask"]:
    name, bound = re.match(r"([\w.\[\]-]+)>=([\w.]+)", line).groups()
    print(f"{name}=={bound}")')
"$folder/bin/python" -c '' 2>/dev/null || make_venv "$python" "$folder"
# Wheels alone: a release that has none for this Python is no bound that people can install.
# google-crc32c: without it numcodecs warns on standard error, which tests of the command read.
# shellcheck disable=SC2086  # the pins are words
pip_install "$folder/bin/python" --only-binary :all: $pins \
    pytest pytest-asyncio pytest-timeout pytest-xdist hypothesis psutil 'moto[server]' google-crc32c
pip_install "$folder/bin/python" --no-deps -e .
touch "$folder/.installed"
