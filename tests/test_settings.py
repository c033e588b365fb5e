"""Settings from the environment: empty means unset, an invalid value is one error."""

from pathlib import Path

import pytest

from targen.errors import StoreError, TargenError
from targen.settings import Settings, default, description, s3_attempts, variable
from targen.store.completions import Store

NAMES = tuple(Settings.__dataclass_fields__)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(variable(name), raising=False)


def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(variable(name), "")
    assert Settings.from_environment() == Settings()
    for name in NAMES:
        assert getattr(Settings(), name) == default(name) and description(name)


def test_every_variable_has_one_setting() -> None:
    variables = [variable(name) for name in NAMES]
    assert len(set(variables)) == len(variables)


def test_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_MODEL", "m")
    monkeypatch.setenv("TARGEN_CONCURRENCY", " 12 ")
    monkeypatch.setenv("TARGEN_BUDGET_USD", "2.5")
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    found = Settings.from_environment()
    assert (found.model, found.concurrency, found.budget_usd) == ("m", 12, 2.5)
    assert found.expectations is False and Settings().expectations is True


@pytest.mark.parametrize("name", ["TARGEN_DATA_DIR", "TARGEN_PLUGINS"])
def test_the_home_of_nobody_is_one_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "~no-such-user/data")
    with pytest.raises(TargenError, match=rf"{name}: '~no-such-user/data' begins with ~"):
        Settings.from_environment()
    monkeypatch.setenv(name, "~/data")
    Settings.from_environment()


def test_the_mode_is_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_environment().mode == "live"
    monkeypatch.setenv("TARGEN_MODE", "batch")
    assert Settings.from_environment().mode == "batch"
    monkeypatch.setenv("TARGEN_MODE", "Batch")
    with pytest.raises(TargenError, match="TARGEN_MODE must be live or batch"):
        Settings.from_environment()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
@pytest.mark.parametrize(
    "name",
    ["TARGEN_CONCURRENCY", "TARGEN_ROWS", "TARGEN_RPM", "TARGEN_TPM", "TARGEN_FRESH_HOURS"],
)
def test_a_wrong_number_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TargenError, match=f"{name} must be a whole number"):
        Settings.from_environment()


def test_a_limit_may_be_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_RPM", "")
    assert Settings.from_environment().requests_per_minute is None
    monkeypatch.setenv("TARGEN_RPM", "500")
    assert Settings.from_environment().requests_per_minute == 500


@pytest.mark.parametrize("value", ["-1", "much", "inf", "nan"])
def test_a_wrong_amount_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TARGEN_BUDGET_USD", value)
    with pytest.raises(TargenError, match="TARGEN_BUDGET_USD must be an amount"):
        Settings.from_environment()


@pytest.mark.parametrize("value", ["0", "-5", "soon", "inf", "nan", "5 min"])
@pytest.mark.parametrize("name", ["TARGEN_TIMEOUT_S", "TARGEN_PATIENCE_S"])
def test_wrong_seconds_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TargenError, match=f"{name} must be a number of seconds above 0"):
        Settings.from_environment()


def test_seconds_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings().timeout_s, Settings().patience_s) == (None, 300)
    monkeypatch.setenv("TARGEN_TIMEOUT_S", "12.5")
    monkeypatch.setenv("TARGEN_PATIENCE_S", " 60 ")
    found = Settings.from_environment()
    assert (found.timeout_s, found.patience_s) == (12.5, 60)


@pytest.mark.parametrize(("text", "rows"), [("", None), ("60", 60), (" 7 ", 7)])
def test_rows_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, rows: int | None
) -> None:
    monkeypatch.setenv("TARGEN_ROWS", text)
    assert Settings.from_environment().rows == rows


def test_secrets_are_not_shown() -> None:
    names = ("api_key", "base_url", "store_url", "alert_webhook")
    assert "canary" not in repr(Settings(**dict.fromkeys(names, "canary")))


def test_the_store_is_beside_the_data() -> None:
    assert Settings(data_dir="/some/data").store_address() == "sqlite:////some/data/completions.db"
    assert Settings(data_dir="s3://b/p", store_url="url").store_address() == "url"
    with pytest.raises(StoreError, match="TARGEN_STORE_URL"):
        Settings(data_dir="s3://b/p").store_address()


@pytest.mark.parametrize("name", ["ws_feature%2Fx", "q?z", "a#b", "two words", "50%", "a+b", "ä"])
def test_the_store_is_beside_the_data_whatever_the_folder_is_called(
    tmp_path: Path, name: str
) -> None:
    address = Settings(data_dir=str(tmp_path / name)).store_address()
    Store(address).close()
    assert (tmp_path / name / "completions.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_attempts_on_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    assert s3_attempts() == 17
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    assert s3_attempts() == 3
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    with pytest.raises(TargenError, match="AWS_MAX_ATTEMPTS must be a whole number"):
        s3_attempts()
