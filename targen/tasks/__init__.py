"""Tasks and recipes: loading and checking YAML, imported files, validators, JSON Schemas."""
