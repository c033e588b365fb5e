"""Runs the command line as `python -m targen`."""

from targen.cli import app

app(prog_name="targen")
