#!/bin/sh
# Creates the virtual environment from requirements.lock. Usage: setup.sh FOLDER [EXTRA], in the checkout.
# EXTRA is an extra that is too large for the lock: train.
# Set PYTHON to use another interpreter than the first Python 3.11+ in PATH.
set -eu
venv=$1
extra=${2:-}

python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  found=$(${PYTHON:-python3} --version 2>&1) || found="none"
  echo "error: Python 3.11 or newer is needed, found: $found. Install one, or name it: make PYTHON=/path/to/python3.12" >&2
  exit 1
fi

echo "Setting up $venv (once; minutes on a fresh machine) ..."
if uv --version >/dev/null 2>&1; then
  uv venv --quiet --allow-existing --python "$python" "$venv"
  install() { uv pip install --quiet --python "$venv/bin/python" "$@"; }
else
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "error: this Python cannot make virtual environments. Install python3-venv (Debian, Ubuntu) or uv." >&2
    exit 1
  fi
  "$python" -m venv "$venv"
  install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
fi
install -r requirements.lock
# The lock includes setuptools, so building the project downloads nothing else.
install --no-deps --no-build-isolation -e .
touch "$venv/.ready"
if [ -n "$extra" ]; then
  install -c requirements.lock -e ".[$extra]"
  touch "$venv/.ready-$extra"
fi
