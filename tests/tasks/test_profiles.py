"""Endpoint profiles: what they change, what takes precedence, and that identities contain it."""

from pathlib import Path
from typing import Any

import pytest

from dagster_project.definitions import task_folder
from targen.cli import base
from targen.errors import SpecError, TargenError
from targen.llm.prices import Price, bound, prompt_bound
from targen.llm.settings import EngineSettings, timeout_of
from targen.llm.types import Request, Sampling, content, identify
from targen.llm.wire import Profile as Wire
from targen.llm.wire import body
from targen.operators import step_digest
from targen.settings import Settings
from targen.steps import LABELS
from targen.tasks.loading import load_task
from targen.tasks.profiles import Profile, of_settings
from targen.tasks.registry import resolve
from targen.tasks.spec import TaskSpec
from tests.support.endpoint import Endpoint, ask, request
from tests.support.specs import MOOD, RECIPES, write_task

ENDS = """\
endpoints:
  thinking:
    base_url: http://127.0.0.1:1/v1
    model: big
    sampling: {temperature: 0.6, top_p: 0.95, min_p: 0.05, top_k: 20}
    reasoning_tokens: 3000
  bare:
    base_url: http://127.0.0.1:2/v1
    model: big
"""


def loaded(folder: Path, steps: str, profile: Profile | None = None, ends: str = ENDS) -> TaskSpec:
    file = folder / "ends.yaml"
    file.write_text(ends, encoding="utf-8")
    tasks = write_task(folder / "tasks", MOOD + steps)
    return load_task("mood", tasks, RECIPES, None, None, file, profile)


def params(spec: TaskSpec, step: str = LABELS) -> Any:
    return resolve(spec.recipe.choice(step), step)[1]


def test_a_profile_replaces_the_defaults_of_the_steps_that_use_its_endpoint(tmp_path: Path) -> None:
    plain = params(loaded(tmp_path, ""))
    spec = loaded(tmp_path, "  labels: {endpoint: thinking}\n")
    found = params(spec)
    assert plain.temperature == 0.0
    assert (found.temperature, found.top_p) == (0.6, 0.95)
    assert found.extra == {"min_p": 0.05, "top_k": 20}
    sampling = found.sampling()
    assert sampling.max_output_tokens == plain.max_output_tokens
    assert sampling.output_bound == plain.max_output_tokens + 3000
    assert params(spec, "seeds") == params(loaded(tmp_path, ""), "seeds")
    # The endpoint's model is no parameter of the step.
    assert found.model is None


def test_what_a_task_sets_takes_precedence(tmp_path: Path) -> None:
    own = "{endpoint: thinking, temperature: 0.1, extra: {top_k: 5, typical_p: 0.9}}"
    found = params(loaded(tmp_path, f"  labels: {own}\n"))
    assert (found.temperature, found.top_p) == (0.1, 0.95)
    assert found.extra == {"min_p": 0.05, "top_k": 5, "typical_p": 0.9}
    none = params(loaded(tmp_path, "  labels: {endpoint: thinking, reasoning_tokens: 0}\n"))
    assert none.reasoning_tokens == 0


def test_the_default_endpoint_has_a_profile_of_its_own(tmp_path: Path) -> None:
    profile = of_settings("temperature=0.7, top_k=20", 500, None)
    spec = loaded(tmp_path, "  labels: {endpoint: bare}\n", profile)
    assert params(spec).temperature == 0.0
    seeds = params(spec, "seeds")
    assert (seeds.temperature, seeds.extra, seeds.reasoning_tokens) == (0.7, {"top_k": 20}, 500)
    assert loaded(tmp_path, "", of_settings(None, None, None)) == loaded(tmp_path, "")


def test_another_profile_is_another_step_and_another_request(tmp_path: Path) -> None:
    def digest(profile: Profile) -> str:
        return step_digest(LABELS, loaded(tmp_path, "", profile))

    profiles = [
        of_settings(text, tokens, None)
        for text, tokens in (
            (None, None), ("temperature=0.7", None), ("min_p=0.1", None), ("top_k=3", None),
            ("top_p=0.5", None), (None, 100), (None, 200),
        )
    ]  # fmt: skip
    assert len({digest(profile) for profile in profiles}) == len(profiles)
    samplings = [params(loaded(tmp_path, "", profile)).sampling() for profile in profiles]
    ids = {identify(request(1, sampling=sampling), "m", "e")[0] for sampling in samplings}
    assert len(ids) == len(profiles)


def test_no_allowance_leaves_the_identity_as_it_was() -> None:
    made = content(request(1, sampling=Sampling(reasoning_tokens=0)), "m", "e")
    assert "reasoning_tokens" not in made["sampling"]
    more = content(request(1, sampling=Sampling(reasoning_tokens=7)), "m", "e")
    assert more["sampling"]["reasoning_tokens"] == 7
    # Two ways to the same limit are two requests: a follow-up doubles only the answer's share.
    first = identify(request(1, sampling=Sampling(max_output_tokens=30)), "m", "e")
    split = Sampling(max_output_tokens=20, reasoning_tokens=10)
    assert identify(request(1, sampling=split), "m", "e") != first


def test_the_limit_the_budget_and_the_time_count_the_allowance() -> None:
    def of(reasoning: int) -> Request:
        return request(1, sampling=Sampling(max_output_tokens=100, reasoning_tokens=reasoning))

    assert body(of(4000), "m", Wire())["max_tokens"] == 4100
    assert body(of(4000), "m", Wire(most_output=2000))["max_tokens"] == 2000
    price = Price(0.0, 1_000_000)
    assert (bound(of(0), price), bound(of(4000), price)) == (100, 4100)
    assert prompt_bound(of(0)) == prompt_bound(of(4000))
    settings = EngineSettings()
    assert timeout_of(of(0), settings) == 120
    assert timeout_of(of(4000), settings) == 60 + 4100 / 5


async def test_an_endpoint_gets_what_the_profile_says(tmp_path: Path, settings: Any) -> None:
    spec = loaded(tmp_path, "  labels: {endpoint: thinking}\n")
    sampling = params(spec).sampling()
    async with Endpoint() as endpoint:
        await ask(settings(endpoint), [request(1, sampling=sampling)])
        (sent,) = endpoint.bodies
    names = ("temperature", "top_p", "min_p", "top_k", "max_tokens")
    assert [sent[name] for name in names] == [0.6, 0.95, 0.05, 20, sampling.output_bound]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temprature=1", "unknown parameter 'temprature'; did you mean 'temperature'"),
        ("temperature=3", "TARGEN_SAMPLING: temperature: .* less than or equal to 2"),
        ("top_k=1.5", "TARGEN_SAMPLING: top_k: "),
        ("temperature=nan", "TARGEN_SAMPLING: temperature: "),
        ("temperature", "must be parameters and numbers.*'temperature' is not"),
        ("temperature=hot", "'temperature=hot' is not"),
    ],
)
def test_a_wrong_setting_is_named(text: str, says: str) -> None:
    with pytest.raises(TargenError, match=says):
        of_settings(text, None, None)


@pytest.mark.parametrize(
    "line",
    ["sampling: {temperature: 9}", "sampling: {beams: 2}", "reasoning_tokens: -1", "style: terse"],
)
def test_a_wrong_profile_in_the_file_is_an_error(tmp_path: Path, line: str) -> None:
    ends = ENDS.replace("reasoning_tokens: 3000", line).replace(
        "    sampling: {temperature: 0.6, top_p: 0.95, min_p: 0.05, top_k: 20}\n", ""
    )
    with pytest.raises(SpecError, match=r"ends\.yaml"):
        loaded(tmp_path, "  labels: {endpoint: thinking}\n", ends=ends)


def test_a_style_reaches_only_operators_that_have_one() -> None:
    profile = Profile(style="plain", reasoning_tokens=5)
    assert profile.added({"a": 1}, {"style", "a"}) == {"style": "plain", "a": 1}
    assert profile.added({"style": "full"}, {"style"}) == {"style": "full"}
    assert profile.added({}, {"page"}) == {}


def test_the_settings_reach_tasks_of_runs_and_of_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = write_task(tmp_path / "tasks")
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(tasks))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.setenv("TARGEN_SAMPLING", "temperature=0.3,top_k=7")
    monkeypatch.setenv("TARGEN_REASONING_TOKENS", "900")
    folder = task_folder(Settings.from_environment())
    for spec in (base.task("mood"), base.tasks()[0]["mood"], folder.load("mood")):
        found = params(spec)
        assert (found.temperature, found.extra, found.reasoning_tokens) == (0.3, {"top_k": 7}, 900)
