"""Named endpoints: the file that defines them, and that nothing of one goes to another."""

from pathlib import Path
from typing import Any

import pytest

from targen.errors import EndpointError, SpecError
from targen.llm.prices import Price
from targen.llm.settings import EngineSettings, with_key
from targen.tasks.endpoints import load_endpoints
from tests.support.endpoint import Endpoint, ask, requests

GOOD = """\
endpoints:
  strong:
    base_url: http://127.0.0.1:1/v1
    model: big
    api_key_env: STRONG_KEY
    requests_per_minute: 600
    tokens_per_minute: 90000
    concurrency: 3
    timeout_s: 600
    patience_s: 30
    mode: batch
    prices: {prompt: 2, completion: 8}
  own-server:
    base_url: http://127.0.0.1:2/v1
    model: small
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "ends.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_endpoint_replaces_all_that_is_the_default_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRONG_KEY", "sk-strong")
    file = write(tmp_path, GOOD)
    base = EngineSettings(
        model="m",
        api_key="sk-default",
        endpoint_name="mine",
        requests_per_minute=5,
        tokens_per_minute=7,
        concurrency=9,
        budget_usd=1.0,
        task="rte",
    )
    strong = with_key("strong", load_endpoints(file), file, base)
    assert (strong.model, strong.api_key, strong.endpoint_name) == ("big", "sk-strong", "strong")
    assert (strong.requests_per_minute, strong.tokens_per_minute) == (600, 90000)
    assert (strong.concurrency, strong.mode) == (3, "batch")
    assert (strong.timeout_s, strong.patience_s) == (600, 30)
    assert strong.price_of(None, "strong") == Price(2, 8)
    assert strong.price_of("another", "strong") is None
    assert (base.key_variable, strong.key_variable) == ("OPENAI_API_KEY", "STRONG_KEY")
    own = with_key("own-server", load_endpoints(file), file, base)
    assert own.api_key not in (None, "sk-default") and own.key_variable is None
    assert (own.requests_per_minute, own.tokens_per_minute, own.price) == (None, None, None)
    assert (own.timeout_s, own.patience_s) == (None, 300)
    assert (own.concurrency, own.mode, own.budget_usd, own.task) == (9, "live", 1.0, "rte")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRONG_KEY", raising=False)
    file = write(tmp_path, GOOD)
    known = load_endpoints(file)
    with pytest.raises(EndpointError, match="'strong' takes its key.* STRONG_KEY, which is not"):
        with_key("strong", known, file, EngineSettings())
    with pytest.raises(EndpointError, match="did you mean 'strong'"):
        with_key("stronk", known, file, EngineSettings())
    monkeypatch.chdir(tmp_path)
    assert load_endpoints(Path("endpoints.yaml")) == {}
    with pytest.raises(SpecError, match=r"none\.yaml"):
        load_endpoints(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("api_key_env: STRONG_KEY", "api_key: sk-abc", r":5: .*api_key: unknown key"),
        ("STRONG_KEY", "sk-abc", r":5: .*NAME of the environment variable"),
        ("//127.0.0.1:1/", "//me:sk-abc@127.0.0.1/", r":3: .*must not contain a user name"),
        ("http://127.0.0.1:1", "ftp://x", r":3: .*http"),
        ("model: big", "", r"model: this required key is missing"),
        ("concurrency: 3", "concurrency: 0", r"concurrency"),
        ("requests_per_minute: 600", "requests_per_minute: .inf", r"requests_per_minute"),
        ("timeout_s: 600", "timeout_s: 0", r"timeout_s"),
        ("timeout_s: 600", "timeout_s: soon", r"timeout_s"),
        ("patience_s: 30", "patience_s: .nan", r"patience_s"),
        (":1/v1", ":sk-abc/v1", r":3: .*port in the base URL is not a number"),
        ("prompt: 2", "prompt: -2", r"prices\.prompt"),
        ("own-server", "embedded", r"not 'embedded'"),
        ("own-server", "Own", r"lower-case"),
        ("endpoints:\n", "endpoints: [\n", r"not valid YAML"),
    ],
)
def test_mistakes_are_told_with_their_line_and_without_the_secret(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(SpecError, match=said) as caught:
        load_endpoints(write(tmp_path, GOOD.replace(old, new)))
    assert "sk-abc" not in str(caught.value)
    assert "ends.yaml" in str(caught.value)


async def test_nothing_of_the_environment_goes_to_a_named_endpoint(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", f"default-{name}")
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS", "Authorization: Bearer default-A\nX-Team: default-T"
    )
    async with Endpoint() as endpoint:
        named = settings(endpoint, api_key="sk-strong", own_key=True)
        outcomes, _ = await ask(named, requests(1))
        assert outcomes[0].status == "ok"
        (headers,) = endpoint.headers
        assert headers["Authorization"] == "Bearer sk-strong"
        assert not [value for value in headers.values() if "default" in value]


async def test_the_identity_holds_the_endpoints_name(settings: Any) -> None:
    async with Endpoint() as endpoint:
        for name in ("one", "two"):
            await ask(settings(endpoint, endpoint_name=name), requests(2))
        assert len(endpoint.bodies) == 4
