"""API keys: checking them, and keeping them out of everything that is shown or stored."""

import logging
import re
import traceback
from urllib.parse import quote

from targen.errors import EndpointError

SECRET_NAME = re.compile(r"key|token|secret|pass|pwd|sig|cred|auth", re.IGNORECASE)
"""Finds the parameters of a URL's query that hold secrets."""

REPLACEMENT = "[the API key]"

_SHORTEST = 12
"""Shorter keys are words such as `none`, for servers that ask for no key."""

_QUOTES = "'\"`"
_LOGGERS = ("targen", "openai", "httpx2", "asyncio")
_KNOWN: set[str] = set()


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


def remember(secret: str) -> None:
    """Keep `secret` out of the log of this process from now on, and out of `without_keys`."""
    if len(secret) < _SHORTEST:
        return
    _KNOWN.update((secret, quote(secret, safe="")))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _FILTER not in logger.filters:
            logger.addFilter(_FILTER)


def without_keys(text: str) -> str:
    """Return `text` with every known key replaced."""
    for secret in _KNOWN:
        if secret in text:
            text = text.replace(secret, REPLACEMENT)
    return text


class _KeyFilter(logging.Filter):
    """Removes known keys from messages and tracebacks, whatever put them there."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = without_keys(message)
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            clean = without_keys(trace)
            if clean != trace:
                record.exc_info, record.exc_text = None, clean
        return True


_FILTER = _KeyFilter()
