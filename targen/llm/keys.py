"""Checks API keys before they are sent."""

from targen.errors import EndpointError

_QUOTES = "'\"`"


def check_key(key: str, source: str) -> None:
    """Check that `key` can be sent in a header.

    Args:
        key: the API key.
        source: what to call it in the error: the name of its variable.

    Raises:
        EndpointError: it contains a character that no key has. The error gives the position of
            the character, counted from 1, and never the key.
    """
    for position, character in enumerate(key, 1):
        if character in "\r\n":
            problem = "a line break"
        elif character.isspace():
            problem = "white space"
        elif not character.isascii():
            problem = "a character outside ASCII, such as a typographic quotation mark"
        elif not character.isprintable():
            problem = "a control character"
        elif character in _QUOTES:
            problem = "a quotation mark"
        else:
            continue
        # One raise for all, outside of any handler: no chained error may quote the key.
        raise EndpointError(
            f"The API key in {source} cannot be used: character {position} of {len(key)} is "
            f"{problem}. Copy the key again, without quotes, spaces or line breaks."
        )
