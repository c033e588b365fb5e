"""Tests of what needs the extra `train`; `make test-train` runs them."""
