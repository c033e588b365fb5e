"""Secrets stay names."""

from collections.abc import Iterator
from typing import Any

import pytest
from dagster import EnvVar

from resources.fields import private
from resources.llm import LLMResource, from_secrets_manager
from targen.errors import EndpointError
from targen.settings import Settings
from tests.services import s3


def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert private(Settings.from_environment(), "api_key") is None


def test_secrets_stay_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    found = private(Settings.from_environment(), "api_key")
    assert isinstance(found, EnvVar)
    assert found.env_var_name == "OPENAI_API_KEY"
    assert "sk-secret" not in repr(found)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield the resource of a server with three secrets."""
    pytest.importorskip("moto", reason="the server of secrets is not installed")
    from dagster_project.location import secrets_manager

    with s3.server() as port:
        for name, value in s3.SETTINGS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        client = s3.client(port, "secretsmanager")
        for name, text in (
            ("plain", "sk-plain"),
            ("pairs", '{"OPENAI_API_KEY": "sk-pairs", "OTHER": "x"}'),
            ("wrong", '{"OTHER": "sk-other"}'),
        ):
            client.create_secret(Name=name, SecretString=text)
        yield secrets_manager()


def test_a_key_comes_from_secrets_manager(secrets: Any, tmp_path: Any) -> None:
    assert from_secrets_manager("plain", secrets) == "sk-plain"
    assert from_secrets_manager("pairs", secrets) == "sk-pairs"
    made = LLMResource(model="m", api_key_secret="plain", secrets=secrets, data_dir=str(tmp_path))
    settings = made.engine("run", "task", "step").settings
    assert settings.api_key == "sk-plain" and "sk-plain" not in repr((made, settings))
    given = LLMResource(model="m", api_key="sk-given", api_key_secret="plain", secrets=secrets)
    assert given.engine("run", "task", "step").settings.api_key == "sk-given"


def test_an_embedding_model_alone_needs_the_key_too(secrets: Any, tmp_path: Any) -> None:
    given: dict[str, Any] = {"secrets": secrets, "data_dir": str(tmp_path)}
    made = LLMResource(embedding_model="e", api_key_secret="plain", **given)
    assert made.embedder("run", "task", "step").settings.api_key == "sk-plain"
    # The simulator needs none, so nobody has to reach AWS for it.
    made = LLMResource(api_key_secret="missing", **given)
    assert made.embedder("run", "task", "step").settings.api_key is None


def test_a_secret_that_is_none_is_one_error_without_its_text(secrets: Any) -> None:
    with pytest.raises(EndpointError, match="The secret missing cannot be read.*GetSecretValue"):
        from_secrets_manager("missing", secrets)
    with pytest.raises(EndpointError, match="The secret wrong contains no key") as told:
        from_secrets_manager("wrong", secrets)
    assert "sk-other" not in str(told.value)
