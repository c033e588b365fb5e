"""Benchmarks. Each measures figures in one run against a named alternative and prints JSON."""
