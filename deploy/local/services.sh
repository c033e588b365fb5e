#!/usr/bin/env bash
# Installs what `make test-services` starts, where it is missing: Debian's PostgreSQL and Redis. The
# S3 server, Celery and the rest come with .venv (extras `production` and `dev`).
set -euo pipefail

packages=()
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages+=(postgresql)
command -v redis-server >/dev/null || packages+=(redis-server)
((${#packages[@]})) || exit 0
sudo=()
[[ $(id -u) == 0 ]] || sudo=(sudo)
"${sudo[@]}" apt-get update -qq
# Ours listen on ports of their own: Debian's need not start.
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${sudo[@]}" apt-get install -y -qq \
  --no-install-recommends "${packages[@]}"
