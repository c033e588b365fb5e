"""`targen estimate`: what it prints, and how it ends."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from targen.cli import app
from tests.support.specs import MOOD, use_folder, write_task

runner = CliRunner()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_folder(tmp_path, monkeypatch)


def told(*words: str, status: int = 0) -> str:
    result = runner.invoke(app, ["estimate", *words])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def test_steps_and_their_sum() -> None:
    text = told("mood")
    assert "mood, 8 rows by recipe targen" in text
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines() if "$" in line}
    assert {"contexts", "seeds", "instances", "labels", "corrected_set", "in all"} <= set(lines)
    found = json.loads(told("mood", "--json", "--rows", "20"))
    assert found["rows"] == 20
    assert found["in_all"]["calls"] == sum(step["calls"] for step in found["steps"])
    assert found["problem"] is None


def test_why_it_is_free_and_what_the_most_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = " ".join(told("mood").split())
    assert "The simulator is free. Set TARGEN_MODEL" in free
    assert "TARGEN_PRICES" in free and "At most" not in free
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels:\n- {model: m, prompt: 1, completion: 2}\n")
    monkeypatch.setenv("TARGEN_PRICES", str(prices))
    monkeypatch.setenv("TARGEN_MODEL", "m")
    paid = " ".join(told("mood").split())
    assert "is free" not in paid
    assert re.search(r"Live, this costs \$0\.\d+ to \$0\.\d+, at most \$0\.\d+ if every", paid)
    assert "assumes that 10% of the items are rejected" in paid


def test_an_unknown_price_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_MODEL", "nobody-knows")
    text = told("mood")
    assert "$" not in text
    assert "The price of nobody-knows at https://api.openai.com/v1 is unknown" in text
    assert json.loads(told("mood", "--json"))["in_all"]["cost_usd"] is None


def test_each_step_at_its_own_endpoints_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = tmp_path / "ends.yaml"
    ends.write_text(
        "endpoints:\n  strong:\n    base_url: http://127.0.0.1:1/v1\n    model: big\n"
        "    api_key_env: NOT_SET_ANYWHERE\n    prices: {prompt: 1, completion: 2}\n"
    )
    monkeypatch.setenv("TARGEN_ENDPOINTS_FILE", str(ends))
    write_task(tmp_path / "tasks", MOOD + "  correction: {endpoint: strong}\n")
    steps = {step["step"]: step for step in json.loads(told("mood", "--json"))["steps"]}
    assert steps["corrected_set"]["model"] == "big"
    assert steps["corrected_set"]["endpoint"] == "strong"
    assert steps["corrected_set"]["cost_usd"] > 0
    assert steps["labels"]["model"] == "targen-embedded"


def test_what_is_wrong_is_told() -> None:
    assert "did you mean 'mood'" in told("moood", status=1)
    assert "Invalid value" in told("mood", "--rows", "0", status=2)
