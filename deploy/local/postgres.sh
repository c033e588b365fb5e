#!/usr/bin/env bash
# Starts a temporary PostgreSQL server on loopback for the tests and prints its SQLAlchemy URL.
# Usage: postgres.sh start DIR | postgres.sh restart DIR | postgres.sh stop DIR
set -euo pipefail
action=$1 folder=$2
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
as=()
# PostgreSQL refuses to run as root; Debian's package creates the user postgres.
[[ $(id -u) != 0 ]] || as=(runuser -u postgres --)

case $action in
  start)
    mkdir -p "$folder"
    [[ $(id -u) != 0 ]] || chown postgres "$folder"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    (
      cd /
      "${as[@]}" "$bin/initdb" -D "$folder/data" -U targen -A trust >/dev/null
      "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w \
        -o "-p $port -k $folder -c listen_addresses=127.0.0.1" start >/dev/null
      "${as[@]}" "$bin/createdb" -h 127.0.0.1 -p "$port" -U targen targen
    )
    echo "postgresql+psycopg2://targen@127.0.0.1:$port/targen"
    ;;
  restart)
    # Keeps the options of the start.
    (cd / && "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m fast -w restart >/dev/null)
    ;;
  stop)
    (cd / && "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m fast -w stop >/dev/null)
    ;;
esac
