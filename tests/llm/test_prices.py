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
