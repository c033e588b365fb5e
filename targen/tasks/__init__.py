"""Tasks: YAML files read and checked, recipes, gold and own files, validators, JSON Schemas."""
