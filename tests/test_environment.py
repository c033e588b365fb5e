"""Settings from the environment: empty is unset, nonsense is one error."""

import pytest

from targen import environment
from targen.errors import TargenError


def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_MODEL", "")
    assert environment.optional("TARGEN_MODEL") is None
    assert environment.text("TARGEN_MODEL", "other") == "other"
    assert environment.whole("TARGEN_MODEL", 7) == 7
    assert environment.amount("TARGEN_MODEL") is None


def test_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_CONCURRENCY", " 12 ")
    monkeypatch.setenv("TARGEN_BUDGET_USD", "2.5")
    assert environment.whole("TARGEN_CONCURRENCY", 64) == 12
    assert environment.amount("TARGEN_BUDGET_USD") == 2.5


def test_the_mode_is_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TARGEN_MODE", raising=False)
    assert environment.mode() == "live"
    monkeypatch.setenv("TARGEN_MODE", "batch")
    assert environment.mode() == "batch"
    monkeypatch.setenv("TARGEN_MODE", "Batch")
    with pytest.raises(TargenError, match="TARGEN_MODE must be live or batch"):
        environment.mode()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TARGEN_CONCURRENCY", value)
    with pytest.raises(TargenError, match="TARGEN_CONCURRENCY must be a whole number"):
        environment.whole("TARGEN_CONCURRENCY", 64)


def test_a_limit_may_be_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_RPM", "")
    assert environment.limit(environment.RPM) is None
    monkeypatch.setenv("TARGEN_RPM", "500")
    assert environment.limit(environment.RPM) == 500
    monkeypatch.setenv("TARGEN_RPM", "0")
    with pytest.raises(TargenError, match="TARGEN_RPM must be a whole number"):
        environment.limit(environment.RPM)


@pytest.mark.parametrize("value", ["-1", "much", "inf", "nan"])
def test_a_wrong_amount_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TARGEN_BUDGET_USD", value)
    with pytest.raises(TargenError, match="TARGEN_BUDGET_USD must be an amount"):
        environment.amount("TARGEN_BUDGET_USD")


@pytest.mark.parametrize(("text", "rows"), [("", None), ("60", 60), (" 7 ", 7)])
def test_rows_from_the_environment(monkeypatch, text, rows):
    monkeypatch.setenv("TARGEN_ROWS", text)
    assert environment.rows() == rows


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5"])
def test_rows_from_the_environment_must_be_a_number(monkeypatch, text):
    monkeypatch.setenv("TARGEN_ROWS", text)
    with pytest.raises(TargenError, match="TARGEN_ROWS"):
        environment.rows()
