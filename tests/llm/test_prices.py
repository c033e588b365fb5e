from pathlib import Path

import pytest

from targen.errors import SpecError
from targen.llm.prices import price_of


def test_the_built_in_file_holds_for_its_endpoint_only() -> None:
    price = price_of("gpt-4o-mini", "https://api.openai.com/v1")
    assert price is not None
    assert price.cost(1_000_000, 1_000_000) == pytest.approx(0.75)
    assert price.cost(1_000_000, 0, batch=True) == pytest.approx(0.075)
    assert price_of("gpt-4o-mini", "http://elsewhere/v1") is None
    assert price_of("no-such-model", "https://api.openai.com/v1") is None


@pytest.mark.parametrize(
    "text",
    ["models:\n- {model: m}", "- 1", "models: [{model: m, prompt: -1, completion: 1}]", "a: [", ""],
)
def test_a_wrong_file_is_one_error(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    monkeypatch.setenv("TARGEN_PRICES", str(file))
    with pytest.raises(SpecError, match=r"p\.yaml"):
        price_of("m", "e")


def test_cached_tokens_cost_their_own_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "models:\n- {model: m, prompt: 10, completion: 20, cached: 1}\n"
        "- {model: old, prompt: 10, completion: 20}\n"
        "- {model: free, prompt: 10, completion: 20, cached: 0}\n"
    )
    monkeypatch.setenv("TARGEN_PRICES", str(file))
    costs = {}
    for model in ("m", "old", "free"):
        price = price_of(model, "e")
        assert price is not None
        costs[model] = price.cost(1_000_000, 0, cached_tokens=600_000)
        assert price.cost(1_000_000, 0) == price.cost(1_000_000, 0, cached_tokens=None) == 10
        assert price.cost(10**6, 0, batch=True, cached_tokens=600_000) == costs[model] / 2
    assert costs == pytest.approx({"m": 4.6, "old": 10, "free": 4})


@pytest.mark.parametrize("cached", ["-1", "11", "cheap", ".nan"])
def test_a_wrong_price_of_cached_tokens_is_an_error(
    cached: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"models: [{{model: m, prompt: 10, completion: 1, cached: {cached}}}]")
    monkeypatch.setenv("TARGEN_PRICES", str(file))
    with pytest.raises(SpecError, match=r"p\.yaml"):
        price_of("m", "e")
