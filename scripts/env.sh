#!/bin/sh
# env.sh FOLDER EXTRA: the project, editable, with an optional-dependency group in FOLDER.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh
folder=$1 extra=$2

if ! python_between 11 99 "$folder/bin/python" >/dev/null; then
    python=$(find_python 11 99) ||
        die "No Python 3.11 or newer found." \
            "Install one (apt-get install python3 python3-venv on Debian 12 or Ubuntu 24.04)," \
            "or name it: make PYTHON=/path/to/python3 ..."
    make_venv "$python" "$folder"
fi
pip_install "$folder/bin/python" -e ".[$extra]" ||
    die "pip could not install the project. Is a package index reachable from here?"

# PyPI's `icechunk` has the same import name: whichever is found first would hide the other.
if "$folder/bin/python" -m pip show -q icechunk >/dev/null 2>&1; then
    die "$folder also holds the package 'icechunk', which has the same import name." \
        "Remove one of them: $folder/bin/python -m pip uninstall icechunk"
fi
