"""API keys: checking them, and keeping them out of everything that is shown or stored."""

import logging
import re
import traceback

from targen.errors import EndpointError

SECRET_NAME = re.compile(r"key|token|secret|pass|pwd|sig|cred|auth", re.IGNORECASE)
"""Finds the parameters of a URL's query that hold secrets."""

REPLACEMENT = "[the API key]"

_SHORTEST = 12
"""Shorter keys are words such as `none`, for servers that ask for no key."""

_QUOTES = "'\"`"
_LOGGERS = ("targen", "openai", "httpx2", "asyncio")
_ESCAPED_ASCII = re.compile(r"\\u00[2-7]|\\/")
_KNOWN: "dict[str, _Secret]" = {}

_CUT = 8
"""Fewer characters of a key are not secret: one vendor's keys begin alike."""
_END = 8


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


class _Secret:
    """Finds one secret in texts: as it is, escaped as in JSON or a URL, or cut at the end."""

    def __init__(self, secret: str) -> None:
        self.plain = secret
        self._units = [re.compile(_unit(character)) for character in secret]
        self._head = re.compile("".join(_unit(character) for character in secret[:_CUT]))

    def without(self, text: str) -> str:
        kept, start = [], 0
        for head in self._head.finditer(text):
            if head.start() < start:
                continue
            end, left = head.end(), len(self._units) - _CUT
            for unit in self._units[_CUT:]:
                found = unit.match(text, end)
                if found is None:
                    break
                end, left = found.end(), left - 1
            # Shortened texts end within the secret, possibly within an escape, or with a quote.
            if left == 0 or len(text) - end <= _END:
                kept.append(text[start : head.start()] + REPLACEMENT)
                start = end
        return "".join(kept) + text[start:]


def _unit(character: str) -> str:
    code, slashes = f"{ord(character):02x}", r"\\{0,4}"
    escapes = rf"{slashes}u00{code}|{slashes}x{code}|%{code}|&#x0?{code};|&#{ord(character)};"
    return rf"(?:(?i:{escapes})|{slashes}{re.escape(character)})"


def remember(secret: str) -> None:
    """Keep `secret` out of the log of this process from now on, and out of `without_keys`."""
    if len(secret) < _SHORTEST or secret in _KNOWN:
        return
    _KNOWN[secret] = _Secret(secret)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


def without_keys(text: str) -> str:
    """Return `text` with every known key replaced, including escaped ones."""
    for secret in _KNOWN.values():
        text = secret.without(text)
    return text


def answer_without_keys(text: str) -> str:
    """Return an answer with every known key replaced; fast if it cannot contain one."""
    escaped = "\\" in text and _ESCAPED_ASCII.search(text)
    for secret in _KNOWN.values():
        if escaped or secret.plain in text:
            text = secret.without(text)
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
