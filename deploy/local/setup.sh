#!/bin/sh
# Creates the virtual environment from requirements.lock. Usage: setup.sh FOLDER [EXTRAS], in the checkout.
# EXTRAS are extras that are too large for the lock, with commas: train,embeddings.
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

count=$(grep -c '^[a-zA-Z]' requirements.lock)
echo "Setting up $venv, once. A fresh machine downloads about 350 MB."
if uv --version >/dev/null 2>&1; then
  echo "[1/3] a virtual environment with $("$python" --version), by uv"
  uv venv --quiet --allow-existing --python "$python" "$venv"
  # uv draws its own progress on a terminal.
  install() { uv pip install --python "$venv/bin/python" "$@"; }
else
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "error: this Python cannot make virtual environments. Install python3-venv (Debian, Ubuntu) or uv." >&2
    exit 1
  fi
  echo "[1/3] a virtual environment with $("$python" --version), by venv and pip"
  "$python" -m venv "$venv"
  install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off "$@" >"$venv/pip.log" &
    pip=$!
    # A line whenever pip has gone on: how many packages it has found, and the latest.
    before=
    while kill -0 "$pip" 2>/dev/null; do
      sleep 3
      now=$(awk '/^Collecting /{n++; name=$2} /^Installing collected/{all=1}
        END{if (all) print "installing"; else if (n) print n " found, now " name}' "$venv/pip.log")
      [ "$now" = "$before" ] || echo "      $now"
      before=$now
    done
    wait "$pip"
  }
fi
echo "[2/3] $count packages from requirements.lock"
install -r requirements.lock
# The lock includes setuptools, so building the project downloads nothing else.
echo "[3/3] this project"
# setuptools warns about every editable install.
if ! install --no-deps --no-build-isolation -e . 2>"$venv/build.log"; then
  cat "$venv/build.log" >&2
  exit 1
fi
touch "$venv/.ready"
if [ -n "$extra" ]; then
  echo "[4/4] the extra $extra"
  install -c requirements.lock -e ".[$extra]"
  touch "$venv/.ready-${extra%%,*}"
fi
