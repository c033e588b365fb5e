"""`python -m targen.cli`: the command without its script."""

from targen.cli import app

app()
