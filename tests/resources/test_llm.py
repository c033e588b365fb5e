"""The model's settings: where the completion store lies."""

from pathlib import Path

import pytest

from resources.llm import LLMResource
from targen.errors import EndpointError, StoreError


def test_the_store_lies_in_the_data_folder() -> None:
    assert LLMResource(data_dir="/some/data").store_address() == (
        "sqlite:////some/data/completions.db"
    )


def test_the_mode_reaches_the_engine(tmp_path: Path) -> None:
    resource = LLMResource(mode="batch", data_dir=str(tmp_path))
    assert resource.engine("run", "task", "step").settings.mode == "batch"
    assert LLMResource(data_dir=str(tmp_path)).engine("r", "t", "s").settings.mode == "live"


def test_a_named_store_counts() -> None:
    url = "postgresql+psycopg2://host/db"
    assert LLMResource(store_url=url, data_dir="s3://b/p").store_address() == url


def test_data_on_s3_needs_a_named_store() -> None:
    with pytest.raises(StoreError, match="TARGEN_STORE_URL"):
        LLMResource(data_dir="s3://bucket/prefix").store_address()


def test_limits_and_budgets_reach_the_engine(tmp_path: Path) -> None:
    resource = LLMResource(
        data_dir=str(tmp_path),
        requests_per_minute=30,
        tokens_per_minute=9000,
        budget_usd=3.0,
        timeout_s=50.0,
        patience_s=70.0,
    )
    settings = resource.engine("r", "t", "s", task_budget_usd=0.5).settings
    assert (settings.requests_per_minute, settings.tokens_per_minute) == (30, 9000)
    assert (settings.timeout_s, settings.patience_s) == (50, 70)
    assert (settings.budget_usd, settings.task_budget_usd) == (3.0, 0.5)


async def test_to_embed_needs_no_key_for_the_chat_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    resource = LLMResource(model="gpt-x", mode="batch", data_dir=str(tmp_path))
    async with resource.embedder("run", "task", "step") as engine:
        assert (await engine.embed(["a cat"])).shape == (1, 256)
    with pytest.raises(EndpointError, match="No API key"):
        async with resource.engine("run", "task", "step"):
            pass
    named = LLMResource(model="gpt-x", embedding_model="e", data_dir=str(tmp_path))
    assert named.embedder("run", "task", "step").settings.model == "e"
