"""Secrets stay names."""

import pytest
from dagster import EnvVar

from resources.secrets import private


def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert private("OPENAI_API_KEY") is None


def test_secrets_stay_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    found = private("OPENAI_API_KEY")
    assert isinstance(found, EnvVar)
    assert found.env_var_name == "OPENAI_API_KEY"
    assert "sk-secret" not in repr(found)
