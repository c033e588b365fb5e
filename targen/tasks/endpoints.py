"""Named endpoints: where a step may send its requests instead of the default endpoint."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from targen.errors import EndpointError, SpecError
from targen.settings import ENDPOINTS_DEFAULT
from targen.tasks.profiles import Profile
from targen.tasks.yamlfile import YamlFile, nearest, validate

EMBEDDED_ENDPOINT = "embedded"
"""Logical name of the simulator in the identity of a request."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class EndpointPrices(BaseModel):
    """What an endpoint's own model costs, in US dollars for one million tokens.

    `cached` is the price of prompt tokens that the endpoint reads from its prompt cache; None is
    `prompt`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)
    batch_factor: float = Field(default=0.5, ge=0, le=1)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _no_dearer_than_the_prompt(self) -> "EndpointPrices":
        # A budget reserves the prompt price, so nothing may cost more.
        if self.cached is not None and self.cached > self.prompt:
            raise ValueError("cached must not be above prompt")
        return self


class Endpoint(Profile):
    """A model at an address, with limits, prices and a secret of its own.

    Attributes:
        base_url: root of the OpenAI-compatible API.
        model: the model's name there; a step may ask for another.
        api_key_env: name of the environment variable that holds the key; None if the endpoint asks
            for no key.
        requests_per_minute, tokens_per_minute: known limits; None lets the engine find them.
        concurrency: maximum number of requests in flight; None is the default endpoint's.
        timeout_s: seconds until a call without a complete reply is given up; None is the default
            endpoint's.
        patience_s: seconds that the endpoint may be unreachable after it has answered; None is
            the default endpoint's.
        mode: `live` or `batch`; None is the default endpoint's.
        prices: of `model`; None looks it up in the price file, under the endpoint's name.
        sampling, reasoning_tokens, style: see `Profile`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    requests_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    tokens_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    concurrency: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    patience_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    mode: Literal["live", "batch"] | None = None
    prices: EndpointPrices | None = None

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        try:
            normalized(value)
        except EndpointError as error:
            raise ValueError(str(error)) from None
        if "@" in urlsplit(value).netloc:
            raise ValueError(
                "the URL must not contain a user name or a password; name the variable that holds "
                "the key as api_key_env"
            )
        return value

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        # The value is not repeated: somebody may have put the key itself here.
        if value is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
            raise ValueError(
                "give the NAME of the environment variable that holds the key, such as "
                "STRONG_API_KEY, never the key itself"
            )
        return value


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    endpoints: dict[str, Endpoint]


def load_endpoints(path: Path) -> dict[str, Endpoint]:
    """Return the endpoints of a file by name; none if the default file is missing.

    Raises:
        SpecError: everything that is wrong with the file, a line each.
    """
    if path == Path(ENDPOINTS_DEFAULT) and not path.exists():
        return {}
    file = YamlFile(path)
    found = validate(_File, file.data, file).endpoints
    problems = [
        f"{file.where(('endpoints', name))}: a name is lower-case letters, digits, - and _, and "
        f"not '{EMBEDDED_ENDPOINT}'"
        for name in found
        if not _NAME.fullmatch(name) or name == EMBEDDED_ENDPOINT
    ]
    if problems:
        raise SpecError("\n".join(problems))
    return found


def unknown(name: str, known: Mapping[str, Endpoint], path: Path) -> str:
    """Return the error message for a name that no endpoint has."""
    if not known:
        return f"unknown endpoint '{name}': {path} defines none (TARGEN_ENDPOINTS_FILE)"
    return f"unknown endpoint '{name}' (defined in {path}); {nearest(name, known)}"


def normalized(url: str) -> str:
    """Return `url` in one form: lower-case host, no default port, credentials, query or slash.

    Raises:
        EndpointError: this is not an http(s) URL.
    """
    # The error of the parser quotes the URL, which may contain a password.
    try:
        parts = urlsplit(url)
    except ValueError:
        raise EndpointError("The base URL is not a URL: it cannot be parsed.") from None
    try:
        port = parts.port
    except ValueError:
        raise EndpointError(
            "The port in the base URL is not a number from 0 to 65535. Write it as in "
            "http://host:8000/v1."
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError("The base URL must start with http:// or https:// and name a host.")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = parts.hostname if port in (None, default) else f"{parts.hostname}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
