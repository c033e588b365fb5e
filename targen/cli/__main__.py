"""Runs the command line as `python -m targen.cli`."""

from targen.cli import app

app(prog_name="targen")
