"""A Dagster project that uses TarGEN as a component; a fixture of the tests."""
