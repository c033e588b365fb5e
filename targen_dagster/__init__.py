"""What other Dagster deployments use by name: the component, and classes for `dagster.yaml`."""
