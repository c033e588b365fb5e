"""Changes of the pages for the site only: GitHub shows the same files as they are."""

import re
from typing import Any

_NOTE = re.compile(r"^(```\w+) +[\w-]+$", re.M)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Remove notes to the tests after the language of a code block, as in `sh not-run`."""
    return _NOTE.sub(r"\1", markdown)
