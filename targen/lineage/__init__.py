"""Ids, and the graph from a row to everything that produced it."""
