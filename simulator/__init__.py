"""The simulator: an OpenAI-compatible model that writes from word lists, for demos and tests.

It needs no key and no network, and it answers every prompt of this project: contexts, seeds, rows,
labels and corrections, with errors at set rates. It is not a language model. It recognizes a task
by the fields and labels in the prompt's data block and fills sentence templates from `data/`, so
its rows are not training data, and figures measured on it say nothing about a real model.

Every row has a private truth: a hash of its text names its label (`truth`). The writer tries
wordings until the hash names the label that it wants, or another label where it is meant to err.
Annotators and correctors therefore know the right label of any row from its text alone, and err
at rates that the tests can check.

It is an ASGI application. `targen` does not import it: `resources` and the command line plug it in
as the endpoint if no model is set.
"""

from collections.abc import Mapping
from typing import Any


def application() -> Any:
    """Return a new application with the default error rates."""
    # The lexicons take a while to load.
    from simulator.app import create_app  # noqa: PLC0415

    return create_app()


def complete(body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one chat completion request without HTTP."""
    from simulator.app import completion  # noqa: PLC0415
    from simulator.errors import ErrorRates  # noqa: PLC0415

    return completion(body, ErrorRates())
