# Shared by the set-up scripts (POSIX sh). Sourced, never run.

say() { printf '>> %s\n' "$*" >&2; }
die() {
    printf '!! %s\n' "$@" >&2
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# apt_install PACKAGE...: only as root and only where apt-get exists; 1 when it cannot.
apt_install() {
    is_root && command -v apt-get >/dev/null 2>&1 || return 1
    say "apt-get install $*"
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# python_between LOW HIGH CANDIDATE...: the first candidate that runs as Python 3.LOW to 3.HIGH.
# Version-manager shims of versions that are not selected exist on PATH but do not run.
python_between() {
    low=$1 high=$2
    shift 2
    for candidate in "$@"; do
        [ -n "$candidate" ] || continue
        "$candidate" -c "import sys; v = sys.version_info
sys.exit(0 if v[0] == 3 and $low <= v[1] <= $high else 1)" >/dev/null 2>&1 || continue
        "$candidate" -c 'import sys; print(sys.executable)'
        return 0
    done
    return 1
}

# find_python LOW HIGH: $PYTHON, then PATH, then the places where pyenv and uv keep interpreters.
find_python() {
    low=$1 high=$2
    set -- "${PYTHON:-}" python3 python3.13 python3.12 python3.14 python3.11
    for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions" "$HOME/.local/share/uv/python" /opt/python; do
        for binary in "$folder"/*/bin/python3; do
            [ -x "$binary" ] && set -- "$@" "$binary"
        done
    done
    python_between "$low" "$high" "$@"
}

# make_venv PYTHON FOLDER: a virtual environment with pip; installs Debian's venv package if it may.
make_venv() {
    if ! "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        minor=$("$1" -c 'import sys; print("3.%d" % sys.version_info[1])')
        apt_install "python$minor-venv" || apt_install python3-venv ||
            die "$1 cannot make virtual environments: its 'ensurepip' is missing." \
                "Install it as an administrator (apt-get install python3-venv), or name" \
                "another interpreter: make PYTHON=/path/to/python3 ..."
    fi
    say "creating $2 with $1"
    "$1" -m venv --clear "$2" || die "could not create $2 with $1"
}

# pip_install PYTHON ARGUMENT...: the machine's own pip settings decide where packages come from.
pip_install() {
    python=$1
    shift
    say "pip install $*"
    "$python" -m pip install -qq --no-input --disable-pip-version-check "$@"
}
