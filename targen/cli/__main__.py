"""`python -m targen.cli`: the command without its script.

Nothing else belongs here.
"""

from targen.cli import app

app()
