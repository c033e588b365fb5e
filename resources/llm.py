"""The model as a Dagster resource: endpoint, limits and budget."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dagster import ConfigurableResource, ResourceDependency
from pydantic import Field, PrivateAttr

import simulator
from resources.fields import SECRETS_FIELD, setting
from targen.errors import EndpointError
from targen.redaction import remember
from targen.settings import store_address, variable
from targen.tasks.endpoints import load_endpoints

if TYPE_CHECKING:
    from targen.llm.engine import EmbeddingEngine
    from targen.llm.settings import EngineSettings
    from targen.store.completions import Store


LIMIT: Final = (
    "Spending limit in US dollars of this run, over all runs that share the store. It applies "
    "beside TARGEN_BUDGET_USD and cannot raise it."
)


class LLMResource(ConfigurableResource[None]):
    """An OpenAI-compatible endpoint, or the simulator."""

    model: str | None = setting("model")
    base_url: str | None = setting("base_url")
    api_key: str | None = setting("api_key")
    api_key_secret: str | None = setting("api_key_secret")
    secrets: ResourceDependency[Any] = SECRETS_FIELD
    endpoint_name: str | None = setting("endpoint_name")
    store_url: str | None = setting("store_url")
    embedding_model: str | None = setting("embedding_model")
    mode: Literal["live", "batch"] = setting("mode")
    concurrency: int = setting("concurrency")
    budget_usd: float | None = setting("budget_usd")
    limit_usd: float | None = Field(default=None, description=LIMIT)
    pay_again: float = setting("pay_again")
    requests_per_minute: int | None = setting("requests_per_minute")
    tokens_per_minute: int | None = setting("tokens_per_minute")
    timeout_s: float | None = setting("timeout_s")
    patience_s: float = setting("patience_s")
    endpoints_file: str = setting("endpoints_file")
    data_dir: str = setting("data_dir")
    _found_key: str | None = PrivateAttr(default=None)

    def engine(
        self,
        run_id: str,
        task: str,
        step: str,
        endpoint: str | None = None,
        task_budget_usd: float | None = None,
    ) -> "EmbeddingEngine":
        """Return an engine for one step of one run; use it as an async context manager.

        Raises:
            StoreError: TARGEN_STORE_URL is required but not set.
            SpecError: the file of endpoints is wrong.
            EndpointError: the endpoint is unknown, its key is not set, or a secret cannot be read.
        """
        # Imported here, because the engine doubles the time to load the code location.
        from targen.llm.engine import EmbeddingEngine  # noqa: PLC0415

        settings = self.settings_at(endpoint, run_id, task, step)
        return EmbeddingEngine(replace(settings, task_budget_usd=task_budget_usd))

    def settings_at(
        self, endpoint: str | None, run_id: str, task: str, step: str
    ) -> "EngineSettings":
        """Return the engine's settings for a step at a named endpoint, or at the default one.

        Raises:
            StoreError, SpecError, EndpointError: as `engine`.
        """
        from targen.llm.settings import with_key  # noqa: PLC0415

        settings = self.settings(run_id, task, step)
        if endpoint is None:
            return settings
        path = Path(self.endpoints_file)
        return with_key(endpoint, load_endpoints(path), path, settings)

    def embedder(self, run_id: str, task: str, step: str) -> "EmbeddingEngine":
        """Return an engine for embeddings only; it needs no API key of a chat model.

        Raises:
            StoreError: TARGEN_STORE_URL is required but not set.
        """
        from targen.llm.engine import EmbeddingEngine  # noqa: PLC0415

        return EmbeddingEngine(self.settings(run_id, task, step).to_embed())

    def settings(self, run_id: str, task: str, step: str) -> "EngineSettings":
        """Return the engine's settings for one step of one run.

        Raises:
            StoreError: TARGEN_STORE_URL is required but not set.
        """
        from targen.llm.settings import EngineSettings  # noqa: PLC0415

        key = self._key()
        source = "api_key" if self._found_key is None else "api_key_secret"
        return EngineSettings(
            model=self.model,
            base_url=self.base_url,
            api_key=key,
            key_variable=variable(source),
            endpoint_name=self.endpoint_name,
            store_url=self.store_address(),
            embedding_model=self.embedding_model,
            mode=self.mode,
            concurrency=self.concurrency,
            budget_usd=self._budget(),
            replace_damaged=self.pay_again >= 1,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            timeout_s=self.timeout_s,
            patience_s=self.patience_s,
            simulator=simulator.application,
            run_id=run_id,
            task=task,
            step=step,
        )

    def _budget(self) -> float | None:
        """Return the lower one of budget and limit."""
        given = [one for one in (self.budget_usd, self.limit_usd) if one is not None]
        return min(given, default=None)

    def _key(self) -> str | None:
        needed = self.model is not None or self.embedding_model is not None
        if self.api_key or not self.api_key_secret or not needed:
            return self.api_key
        if self._found_key is None:
            self._found_key = from_secrets_manager(self.api_key_secret, self.secrets)
        return self._found_key

    def check_keys(self, names: Iterable[str]) -> None:
        """Check that the keys of named endpoints are set.

        Raises:
            SpecError: the file of endpoints is wrong.
            EndpointError: an endpoint is unknown, or its key is not set.
        """
        from targen.llm.settings import EngineSettings, with_key  # noqa: PLC0415 - not when loading

        for name in names:
            path = Path(self.endpoints_file)
            with_key(name, load_endpoints(path), path, EngineSettings())

    def store(self) -> "Store":
        """Open the completion store; the caller closes it.

        Raises:
            StoreError: TARGEN_STORE_URL is required but not set, or the store cannot be opened.
        """
        from targen.store.completions import Store  # noqa: PLC0415

        return Store(self.store_address())

    def store_address(self) -> str:
        """Return the SQLAlchemy URL of the completion store.

        Raises:
            StoreError: the data is on S3, so that TARGEN_STORE_URL is required, but it is not set.
        """
        return store_address(self.store_url, self.data_dir)


def from_secrets_manager(name: str, secrets: Any) -> str:
    """Return the endpoint's key from AWS Secrets Manager.

    Args:
        name: the secret's name or ARN. Its text is the key, or a JSON object with the key in
            OPENAI_API_KEY.
        secrets: dagster-aws's SecretsManagerResource.

    Raises:
        EndpointError: the secret does not exist, cannot be read, or contains no key.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import

    try:
        text = secrets.get_client().get_secret_value(SecretId=name).get("SecretString")
    except (BotoCoreError, ClientError) as error:
        raise EndpointError(
            f"The secret {name} cannot be read: {error}. Check {variable('api_key_secret')}, the "
            "region and the permission secretsmanager:GetSecretValue."
        ) from None
    try:
        found = json.loads(text or "null")
    except ValueError:
        found = text
    key = found.get(variable("api_key")) if isinstance(found, dict) else found
    if not isinstance(key, str) or not key.strip():
        raise EndpointError(
            f"The secret {name} contains no key: its text must be the key, or JSON with the key "
            f"under {variable('api_key')}."
        )
    remember(key.strip())
    return key.strip()
