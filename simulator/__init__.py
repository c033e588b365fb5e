"""The simulator: an OpenAI-compatible server that writes from word lists, for demos and tests.

It is an ASGI application. `targen` does not import it: `resources` and the command line plug it in
as the endpoint where no model is named.
"""

from collections.abc import Mapping
from typing import Any


def application() -> Any:
    """Return a new application with its default error rates."""
    # The lexicons take a while to load.
    from simulator.app import create_app  # noqa: PLC0415

    return create_app()


def complete(body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one chat completion request without HTTP."""
    from simulator.app import completion  # noqa: PLC0415
    from simulator.errors import ErrorRates  # noqa: PLC0415

    return completion(body, ErrorRates())
