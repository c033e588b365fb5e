#!/bin/sh
# Dagster writes beside its settings, and the settings lie in an image that may be read-only.
set -eu
mkdir -p "$DAGSTER_HOME"
cp "${TARGEN_DAGSTER_YAML:-/etc/targen/dagster.yaml}" "$DAGSTER_HOME/dagster.yaml"
exec "$@"
