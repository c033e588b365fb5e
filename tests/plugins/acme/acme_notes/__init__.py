"""An installed package with plug-ins, for tests."""
