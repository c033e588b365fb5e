"""Embeddings from a local sentence-transformers model: the extra `embeddings`."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from targen.errors import EndpointError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PREFIX: Final = "sentence-transformers:"
ENDPOINT: Final = "sentence-transformers"


def name_of(setting: str | None) -> str | None:
    """Return the model's name if the setting asks for such a model, else None."""
    if setting is None or not setting.startswith(PREFIX):
        return None
    return setting.removeprefix(PREFIX)


def encode(name: str, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
    """Return one vector per text, (texts, dimensions).

    Raises:
        EndpointError: the package or the model is missing.
    """
    import numpy as np  # noqa: PLC0415 (19 MB in every process that opens an engine)

    vectors = _model(name).encode(list(texts), convert_to_numpy=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


@lru_cache(maxsize=1)
def _model(name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds, gigabytes
    except ImportError as error:
        raise EndpointError(
            f"TARGEN_EMBEDDING_MODEL asks for {PREFIX}{name}, but the package is not installed: "
            "pip install sentence-transformers, or unset the variable."
        ) from error
    try:
        return SentenceTransformer(name)
    # A name is looked up on the hub, whose client raises its own exceptions.
    except Exception as error:
        raise EndpointError(
            f"The sentence-transformers model {name!r} cannot be loaded: {error}. Check the name "
            "in TARGEN_EMBEDDING_MODEL, or give the path of a downloaded model."
        ) from error
