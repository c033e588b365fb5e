#!/bin/sh
# Dagster writes to the folder of its settings, and the image may be read-only: copy them to /tmp.
set -eu
if [ -n "${TARGEN_DAGSTER_YAML:-}" ]; then
  mkdir -p "$DAGSTER_HOME"
  cp "$TARGEN_DAGSTER_YAML" "$DAGSTER_HOME/dagster.yaml"
fi
exec "$@"
