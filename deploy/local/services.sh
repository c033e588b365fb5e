#!/usr/bin/env bash
# Installs Debian's PostgreSQL and Redis for `make test-services`, if they are missing. The S3 server,
# Celery and everything else are in .venv (extras `production` and `dev`).
set -euo pipefail

packages=()
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages+=(postgresql)
command -v redis-server >/dev/null || packages+=(redis-server)
((${#packages[@]})) || exit 0
sudo=()
[[ $(id -u) == 0 ]] || sudo=(sudo)
"${sudo[@]}" apt-get update -qq
# RUNLEVEL=1: Debian's services need not start, because the tests start their own on other ports.
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${sudo[@]}" apt-get install -y -qq \
  --no-install-recommends "${packages[@]}"
