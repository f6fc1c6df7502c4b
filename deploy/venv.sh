#!/bin/sh
# Builds the virtual environment $1 from the hashed lock and installs wabus into it, editable. Repeatable.
# Takes the first Python 3.11 or later on PATH; on Debian as root it installs a missing venv module.
set -eu

venv=${1:?usage: venv.sh DIRECTORY}
log="$venv.log"

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        found=$(command -v "$name") && is_recent "$found" && { printf '%s\n' "$found"; return; }
    done
    return 1
}

can_make_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

install_venv_module() {
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$1 has no venv module; install it (Debian: $package)"
    echo "setup: installing $package"
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$package"; } \
        >>"$log" 2>&1 || fail "apt-get install $package failed; see $log"
}

: >"$log"
python=$(find_python) || fail "Python 3.11 or newer is needed on PATH"
can_make_venv "$python" || install_venv_module "$python"
is_recent "$venv/bin/python" || "$python" -m venv --clear "$venv"
echo "setup: installing into $venv ($("$venv/bin/python" --version))"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock \
    >>"$log" 2>&1 || { tail -20 "$log" >&2; fail "pip failed; see $log"; }
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
    >>"$log" 2>&1 || { tail -20 "$log" >&2; fail "installing wabus failed; see $log"; }
rm -f "$log"
