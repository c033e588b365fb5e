from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simulator
from targen.llm.engine import EngineSettings
from tests.support.endpoint import Endpoint


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., EngineSettings]:
    """Makes settings for an endpoint or a URL, all on one store."""

    def make(endpoint: Endpoint | str, **more: Any) -> EngineSettings:
        url = endpoint if isinstance(endpoint, str) else endpoint.url
        return EngineSettings(
            **{
                "model": "m",
                "base_url": url,
                "api_key": "secret-key",
                "endpoint_name": "test",
                "store_url": f"sqlite:///{tmp_path}/s.db",
                "run_id": "r",
                "task": "t",
                "step": "s",
                "timeout_s": 5.0,
                "simulator": simulator.application,
            }
            | more
        )

    return make


@pytest.fixture
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """Gives model `m` a price at which one answer of `completion` costs what is returned."""
    file = tmp_path / "prices.yaml"
    file.write_text("date: 2026-01-01\nmodels:\n- {model: m, prompt: 1000, completion: 2000}\n")
    monkeypatch.setenv("TARGEN_PRICES", str(file))
    return (7 * 1000 + 5 * 2000) / 1e6
