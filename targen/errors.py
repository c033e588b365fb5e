"""The one family of errors that a user is meant to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from targen.redaction import redacted
from targen.wording import printable


class TargenError(Exception):
    """An error with a message for the user; shown without a traceback.

    The message has no secrets, and no characters that act on a terminal.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(
            *(printable(redacted(one)) if isinstance(one, str) else one for one in arguments)
        )


class SpecError(TargenError):
    """A task or recipe file is wrong: the message names file, line and key."""


class PluginError(TargenError):
    """The code of a plug-in failed: the message names its file and line."""


class StepError(TargenError):
    """A step could not make its table; earlier tables stand untouched.

    Attributes:
        rejected: rows of the `rejected` table: what was asked for, paid for and not good enough.
    """

    def __init__(self, message: str, rejected: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.rejected = rejected


class EndpointError(TargenError):
    """The model endpoint cannot be used at all: wrong key, no server, unknown model."""


class NoEmbeddingsError(EndpointError):
    """The endpoint answers, but gives no embeddings: what needs them is left out."""


class StoreError(TargenError):
    """The completion store cannot be opened, read or written."""


class BudgetError(TargenError):
    """The budget does not allow the next call; what was paid for stands."""


class TableError(TargenError):
    """A table or another file is missing, unreadable, unwritable or of another schema version."""


class ReleaseError(TargenError):
    """A release is refused, damaged or withdrawn."""
