"""The HTTP interface of the simulator: an OpenAI-compatible ASGI application."""

import base64
import math
import re
import struct
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.answering import answer
from simulator.batches import Batches
from simulator.errors import ErrorRates
from simulator.habits import NO_HABITS, Habits
from simulator.prompt import read
from simulator.responses import CREATED, ApiError, body_of, render

MODEL: Final = "targen-embedded"
FINGERPRINT: Final = "fp_simulated_embedded_1"
DIMENSIONS: Final = 256
DRAWS: Final = 10**6
"""Distance of the seeds of independent draws."""
_WORD: Final = re.compile(r"\w+")
_TOKEN: Final = re.compile(r"\s?\w+|\s?[^\w\s]+|\s+")
_COMMON: Final = frozenset("etaoinshrdlu")


def create_app(
    rates: ErrorRates | None = None,
    batch_seconds: float = 0.0,
    habits: Habits = NO_HABITS,
    draw: int = 0,
) -> Starlette:
    """Return the application.

    Args:
        rates: error rates; None for the defaults.
        batch_seconds: how long a batch stays in progress.
        habits: habits of the writer, for tests.
        draw: another number gives other answers to the same requests.
    """
    chosen = ErrorRates() if rates is None else rates

    def chat(body: Mapping[str, Any]) -> dict[str, Any]:
        return completion(body, chosen, habits, draw)

    async def chat_route(request: Request) -> Response:
        return render(chat(await body_of(request)))

    async def embeddings_route(request: Request) -> Response:
        return render(embeddings(await body_of(request)))

    async def models_route(_: Request) -> Response:
        return render({"object": "list", "data": [_model()]})

    async def model_route(request: Request) -> Response:
        _check_model(request.path_params["model"])
        return render(_model())

    batches = Batches(
        {"/v1/chat/completions": chat, "/v1/embeddings": embeddings}, seconds=batch_seconds
    )
    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat_route, methods=["POST"]),
            Route("/v1/embeddings", embeddings_route, methods=["POST"]),
            Route("/v1/models", models_route),
            Route("/v1/models/{model}", model_route),
            *batches.routes(),
        ],
        exception_handlers={ApiError: _on_api_error, HTTPException: _on_http_error},
    )


def completion(
    body: Mapping[str, Any], rates: ErrorRates, habits: Habits = NO_HABITS, draw: int = 0
) -> dict[str, Any]:
    """Answer one chat completion request.

    Raises:
        ApiError: the request is invalid.
    """
    _check_model(body.get("model"))
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError("'messages' must be a list with at least one message.", param="messages")
    if not all(isinstance(message, dict) and "role" in message for message in messages):
        raise ApiError("Every message must be an object with a role.", param="messages")
    if body.get("stream"):
        raise ApiError("The embedded model does not stream.", param="stream")
    bound = body.get("max_completion_tokens") or body.get("max_tokens")
    seed = body.get("seed") or 0
    if not isinstance(seed, int):
        raise ApiError("'seed' must be an integer.", param="seed")
    count = body.get("n") or 1
    if not isinstance(count, int) or not 1 <= count <= 128:
        raise ApiError("'n' must be between 1 and 128.", param="n")
    first = seed + draw * DRAWS
    prompts = [read(messages, body.get("response_format"), first + n) for n in range(count)]
    choices = []
    written = 0
    for index, prompt in enumerate(prompts):
        text, reason = answer(prompt, rates, habits)
        if bound and tokens(text) > bound:
            text, reason = text.encode()[: int(bound) * 4].decode("utf-8", "ignore"), "length"
        written += tokens(text)
        message = {"role": "assistant", "content": text, "refusal": None}
        logprobs = {"content": content(text), "refusal": None} if body.get("logprobs") else None
        choices.append(
            {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}
        )
    asked = tokens(prompts[0].text) + 4 * len(messages)
    return {
        "id": f"chatcmpl-{prompts[0].key.hex()[:24]}",
        "object": "chat.completion",
        "created": CREATED,
        "model": MODEL,
        "choices": choices,
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": written,
            "total_tokens": asked + written,
        },
        "system_fingerprint": FINGERPRINT,
    }


def tokens(text: str) -> int:
    """Estimate the number of tokens: four UTF-8 bytes each, OpenAI's rule of thumb."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def content(text: str) -> list[dict[str, Any]]:
    """Return the tokens of a text as the `content` of a choice's `logprobs`."""
    return [
        {"token": token, "logprob": logprob(token), "bytes": None, "top_logprobs": []}
        for token in _TOKEN.findall(text)
    ]


def logprob(token: str) -> float:
    """Return an invented log probability of a token, from -12 to -0.01."""
    word = token.strip().casefold()
    rare = sum(letter.isalpha() and letter not in _COMMON for letter in word)
    spread = _hash(word) / 2**32
    return max(-12.0, -(0.01 + 0.08 * len(word) + 0.3 * rare + spread * math.log(4)))


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one embeddings request.

    Raises:
        ApiError: the request is invalid.
    """
    _check_model(body.get("model"))
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise ApiError("'input' must be a string or a list of strings.", param="input")
    encoding = body.get("encoding_format")
    if encoding not in (None, "float", "base64"):
        raise ApiError("'encoding_format' must be float or base64.", param="encoding_format")
    data = []
    for index, text in enumerate(texts):
        vector: list[float] | str = embed(text)
        if encoding == "base64":
            vector = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    used = sum(map(tokens, texts))
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": data, "model": MODEL, "usage": usage}


def embed(text: str) -> list[float]:
    """Return the unit vector (256 numbers) of a text: hashed words, word pairs and letter trigrams.

    Feature hashing with signs (Weinberger et al., 2009). A feature is weighted by the square root
    of its frequency, so that frequent features do not dominate.
    """
    words = _WORD.findall(text.casefold())
    features = list(words)
    features += [f"{a} {b}" for a, b in pairwise(words)]
    features += [w[i : i + 3] for w in (f"#{w}#" for w in words) for i in range(len(w) - 2)]
    vector = [0.0] * DIMENSIONS
    for feature, count in Counter(features or ["#"]).items():
        mark = _hash(feature)
        vector[mark % DIMENSIONS] += math.sqrt(count) * (1 if mark >> 31 else -1)
    length = math.sqrt(math.fsum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


@lru_cache(maxsize=1 << 16)
def _hash(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def _model() -> dict[str, Any]:
    return {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "targen (simulated)"}


def _check_model(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ApiError("You must provide a model parameter.", param="model")
    if name != MODEL:
        message = f"The model '{name}' does not exist; this server has '{MODEL}'."
        raise ApiError(message, status=404, param="model", code="model_not_found")


async def _on_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return render(error.content, error.status)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    return render(ApiError(message, code="unknown_url").content, error.status_code)
