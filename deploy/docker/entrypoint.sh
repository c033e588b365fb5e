#!/bin/sh
# Dagster writes beside its settings, and the settings lie in an image that may be read-only.
set -eu
if [ -n "${TARGEN_DAGSTER_YAML:-}" ]; then
  mkdir -p "$DAGSTER_HOME"
  cp "$TARGEN_DAGSTER_YAML" "$DAGSTER_HOME/dagster.yaml"
fi
exec "$@"
