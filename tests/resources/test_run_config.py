"""Run configuration: what it may change, and which value counts for every setting."""

from pathlib import Path
from typing import Any

import pytest
from dagster import Definitions, build_resources, validate_run_config
from dagster._core.errors import DagsterInvalidConfigError

from dagster_project.definitions import build_defs
from dagster_project.jobs import DATASET_JOB
from dagster_project.location import make_resources
from resources.run_config import CHANGEABLE, restricted
from targen.settings import Settings, variable

# Of Dagster itself, when it opens a resource inside another.
pytestmark = [
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
    pytest.mark.filterwarnings("ignore:Class `SecretsManagerResource`"),
]

VALUES: dict[str, tuple[Any, Any]] = {
    "model": ("from-environment", "from-run-config"),
    "mode": ("batch", "live"),
    "concurrency": (7, 8),
    "requests_per_minute": (70, 80),
    "tokens_per_minute": (700, 800),
    "timeout_s": (7.5, 8.5),
    "patience_s": (70.5, 80.5),
    "rows": (17, 18),
    "sampling": ("temperature=0.7", "temperature=0.8"),
    "reasoning_tokens": (170, 180),
    "style": ("plain", "full"),
}
"""Setting -> its value in the environment, and in the run configuration."""
FIXED: dict[str, Any] = {
    "base_url": "https://api.example.org/v1",
    "api_key": "sk-of-the-environment",
    "api_key_secret": "name-of-a-secret",
    "endpoint_name": "example",
    "store_url": "sqlite:////tmp/gate-none.db",
    "embedding_model": "embedder",
    "budget_usd": 2.5,
    "pay_again": 0.3,
    "endpoints_file": "other.yaml",
    "data_dir": "/tmp/gate-none",
    "tasks_dir": "tasks",
    "recipes_dir": "recipes",
    "references_dir": "references",
}
OWNERS = {"llm": "llm", "tasks": "tasks", "data": "data", "io_manager": "io_manager"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Set every setting that a resource has, and return them."""
    given = {name: value for name, (value, _) in VALUES.items()} | FIXED
    for name, value in given.items():
        monkeypatch.setenv(variable(name), str(value))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return given


def started(config: dict[str, Any]) -> dict[str, Any]:
    """Return the resources that a run with this configuration gets."""
    made = {n: restricted(one) for n, one in make_resources(Settings.from_environment()).items()}
    used = {name: one for name, one in made.items() if name in OWNERS}
    given = {name: {"config": fields} for name, fields in config.items()}
    with build_resources(used, resource_config=given) as found:
        return {name: getattr(found, name) for name in used}


def owner(name: str) -> str:
    """Return the resource whose run configuration has a setting."""
    fields = next(kind.__name__ for kind, names in CHANGEABLE.items() if name in names)
    return {"LLMResource": "llm", "TaskFolder": "tasks"}[fields]


def assert_values(resources: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check every setting of every resource."""
    seen = set()
    for resource in resources.values():
        for name in set(type(resource).model_fields) & set(expected):
            seen.add(name)
            assert getattr(resource, name) == expected[name], (type(resource), name)
    assert seen == set(expected)


def test_the_environment_counts_without_run_config(environment: dict[str, Any]) -> None:
    assert_values(started({}), environment)


@pytest.mark.parametrize("name", VALUES)
def test_run_config_changes_one_setting_and_no_other(
    environment: dict[str, Any], name: str
) -> None:
    value = VALUES[name][1]
    assert_values(started({owner(name): {name: value}}), {**environment, name: value})


def test_every_setting_of_a_resource_is_either_changeable_or_fixed() -> None:
    resources = make_resources(Settings())
    fields = {n for one in resources.values() for n in type(one).model_fields}
    assert fields - {"s3", "secrets"} == {*VALUES, *FIXED, "limit_usd"}
    assert {name for names in CHANGEABLE.values() for name in names} == {*VALUES, "limit_usd"}


@pytest.fixture(scope="module")
def defs() -> Definitions:
    return build_defs()


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("resource", OWNERS)
def test_the_launchpad_cannot_change_what_is_fixed(
    defs: Definitions, resource: str, name: str
) -> None:
    config = {"resources": {resource: {"config": {name: FIXED[name]}}}}
    with pytest.raises(DagsterInvalidConfigError, match=f'unexpected config entry "{name}"'):
        validate_run_config(defs.resolve_job_def(DATASET_JOB), config)


@pytest.mark.parametrize("name", [*VALUES, "limit_usd"])
def test_run_config_cannot_name_a_variable(
    defs: Definitions, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNRELATED_SECRET", "canary")
    config = {"resources": {owner(name): {"config": {name: {"env": "UNRELATED_SECRET"}}}}}
    with pytest.raises(DagsterInvalidConfigError) as told:
        validate_run_config(defs.resolve_job_def(DATASET_JOB), config)
    assert "canary" not in str(told.value)


def test_the_launchpad_offers_nothing_else(defs: Definitions) -> None:
    offered = {}
    schema: Any = defs.resolve_job_def(DATASET_JOB).run_config_schema
    for name, field in schema.config_type.fields["resources"].config_type.fields.items():
        offered[name] = set(field.config_type.fields["config"].config_type.fields or ())
    assert offered.pop("llm") == set(next(iter(CHANGEABLE.values())))
    assert offered.pop("tasks") == {"rows", "sampling", "reasoning_tokens", "style"}
    assert set(offered) >= {"data", "io_manager"} and not any(offered.values())


def test_no_schema_of_a_job_reads_variables(defs: Definitions) -> None:
    """Dagster's StringSource and its like take `{env: NAME}`."""
    for job in defs.resolve_all_job_defs():
        names = set(job.run_config_schema.config_type_dict_by_name)
        assert not {name for name in names if "Source" in name}, job.name


@pytest.mark.parametrize(
    ("budget", "limit", "expected"),
    [(2.5, 1.0, 1.0), (2.5, 1000.0, 2.5), (0, 5.0, 0), (None, 5.0, 5.0), (2.5, None, 2.5)],
)
def test_run_config_can_only_lower_the_budget(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    budget: float | None,
    limit: float | None,
    expected: float,
) -> None:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TARGEN_BUDGET_USD", raising=False)
    if budget is not None:
        monkeypatch.setenv("TARGEN_BUDGET_USD", str(budget))
    found = started({"llm": {} if limit is None else {"limit_usd": limit}})["llm"]
    assert found.settings("r", "t", "s").budget_usd == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("concurrency", 0, "concurrency must be a whole number of at least 1"),
        ("timeout_s", -1.0, "timeout_s must be a number of seconds above 0"),
        ("mode", "fast", "mode must be live or batch"),
        ("limit_usd", -1.0, "limit_usd must be an amount"),
        ("sampling", "hot", "sampling must be parameters and numbers"),
    ],
)
def test_a_wrong_value_is_one_error(name: str, value: Any, message: str) -> None:
    with pytest.raises(Exception, match="config|mapping") as told:
        started({owner(name): {name: value}})
    assert message in str(told.value.__cause__ or told.value)
