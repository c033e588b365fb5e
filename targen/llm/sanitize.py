"""Makes text from an endpoint safe to store."""

import re

_LONE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """Return `text` as valid Unicode without NUL, so that every table and database takes it.

    The two halves of a surrogate pair are joined; a lone half becomes U+FFFD.
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii() and _LONE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
