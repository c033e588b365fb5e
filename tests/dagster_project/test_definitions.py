"""The code location: its shape, its settings, and what loading it costs."""

import subprocess
import sys

import pytest
from dagster import (
    AllPartitionMapping,
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    AssetsDefinition,
    AssetSelection,
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    Definitions,
    TableSchema,
    evaluate_automation_conditions,
)
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from assets.step import GROUPS
from dagster_project.definitions import build_defs
from dagster_project.home import ROOT
from dagster_project.jobs import COMPARISON, COMPARISON_JOB, DATASET_JOB, RELEASE, RELEASE_JOB
from dagster_project.run import DEMO_TASKS
from resources.data import DataFolder
from resources.io_manager import TablesIOManager
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.errors import TargenError
from targen.steps import SCHEMA_VERSION, STEPS, UPSTREAM

HEAVY = (
    "great_expectations", "pandas", "sklearn", "dagster_aws", "boto3", "alembic",
    "sqlalchemy", "torch", "transformers", "datasets", "targen.llm.engine",
    "targen.release.manifest", "targen.quality.report", "targen.operators",
)  # fmt: skip


@pytest.fixture(scope="module")
def built() -> Definitions:
    return build_defs()


def assets(built: Definitions) -> dict[str, AssetsDefinition]:
    graph = built.resolve_asset_graph()
    return {step: graph.assets_def_for_key(AssetKey(step)) for step in STEPS}


def test_the_assets_are_all_of_one_shape(built: Definitions) -> None:
    for step, asset in assets(built).items():
        spec = asset.get_asset_spec(AssetKey(step))
        assert spec.group_name == GROUPS[step] and spec.owners and spec.description
        assert {"polars", "parquet"} <= spec.kinds
        assert spec.code_version == f"1.{SCHEMA_VERSION}"
        assert isinstance(spec.metadata["dagster/column_schema"], TableSchema)
        assert spec.partitions_def is not None
        assert set(DEMO_TASKS) <= set(spec.partitions_def.get_partition_keys())
        assert asset.backfill_policy is None


def test_the_lineage_is_that_of_the_steps(built: Definitions) -> None:
    above = {
        step: {dep.asset_key.path[-1] for dep in asset.get_asset_spec(AssetKey(step)).deps}
        for step, asset in assets(built).items()
    }
    report = above.pop("quality_report")
    assert above == {step: set(names) for step, names in UPSTREAM.items()}
    assert report == set(UPSTREAM)


def test_every_asset_has_a_contract_that_blocks_and_statistics_that_do_not(
    built: Definitions,
) -> None:
    graph = built.resolve_asset_graph()
    for step in STEPS:
        contract = graph.get(AssetCheckKey(AssetKey(step), "contract"))
        statistics = graph.get(AssetCheckKey(AssetKey(step), "statistics"))
        assert contract.blocking and not statistics.blocking
        assert contract.partitions_def is not None and statistics.partitions_def is not None
    gates = {key.name for key in graph.asset_check_keys if key.name.startswith("gate_")}
    assert {"gate_label_noise", "gate_shortcut_hypothesis_only"} <= gates
    for name in gates:
        gate = graph.get(AssetCheckKey(AssetKey("quality_report"), name))
        assert gate.blocking and gate.partitions_def is not None
    expectations = graph.get(AssetCheckKey(AssetKey("labels"), "expectations"))
    assert expectations.blocking and expectations.partitions_def is not None
    release = graph.get(AssetCheckKey(AssetKey("release"), "contract"))
    assert release.blocking and release.partitions_def is not None
    every = graph.get(AssetCheckKey(AssetKey("quality_report"), "gates_of_all_tasks"))
    assert not every.blocking and every.partitions_def is not None
    assert len(graph.asset_check_keys) == 3 * len(STEPS) + len(gates) + 2


def test_expectations_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    keys = build_defs().resolve_asset_graph().asset_check_keys
    assert keys and "expectations" not in {key.name for key in keys}
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "no")
    with pytest.raises(TargenError, match="TARGEN_EXPECTATIONS must be on or off"):
        build_defs()


def test_the_job_makes_everything_in_one_process(built: Definitions) -> None:
    job = built.resolve_job_def(DATASET_JOB)
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == set(STEPS)
    assert job.executor_def.name == "in_process"


def test_the_comparison_stands_beside_the_partitions(built: Definitions) -> None:
    made = built.resolve_asset_graph().assets_def_for_key(AssetKey(COMPARISON))
    spec = made.get_asset_spec(AssetKey(COMPARISON))
    assert spec.partitions_def is None
    assert spec.group_name == "quality" and spec.owners and spec.description
    assert isinstance(spec.metadata["dagster/column_schema"], TableSchema)
    (above,) = spec.deps
    assert above.asset_key == AssetKey("quality_report")
    assert isinstance(above.partition_mapping, AllPartitionMapping)
    job = built.resolve_job_def(COMPARISON_JOB)
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {COMPARISON}


def test_a_release_is_made_only_by_its_own_job(built: Definitions) -> None:
    (key,) = built.resolve_job_def(RELEASE_JOB).asset_layer.selected_asset_keys
    spec = built.resolve_asset_graph().assets_def_for_key(key).get_asset_spec(key)
    assert key.path[-1] == RELEASE
    assert spec.partitions_def is not None and spec.automation_condition is None
    assert spec.group_name == "publishing" and spec.owners and spec.description
    assert {dep.asset_key.path[-1] for dep in spec.deps} >= {"corrected_set", "quality_report"}


def test_nothing_runs_by_itself_until_somebody_switches_it_on(built: Definitions) -> None:
    repository = built.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "changed_steps",
        "automation",
        "alert_on_failure",
        "alert_on_warnings",
    }
    assert {s.default_status for s in repository.sensor_defs} == {DefaultSensorStatus.STOPPED}
    assert [s.default_status for s in repository.schedule_defs] == [DefaultScheduleStatus.STOPPED]


def test_automation_is_for_what_asks_no_model(built: Definitions) -> None:
    graph = built.resolve_asset_graph()
    automated = {
        key.path[-1]
        for key in graph.get_all_asset_keys()
        if graph.get(key).automation_condition is not None
    }
    assert automated == {COMPARISON}


def test_a_new_report_asks_for_the_comparison_once_while_others_are_missing(
    built: Definitions,
) -> None:
    only = AssetSelection.assets(COMPARISON)
    with DagsterInstance.ephemeral() as instance:
        first = evaluate_automation_conditions(built, instance, asset_selection=only)
        instance.report_runless_asset_event(AssetMaterialization("quality_report", partition="rte"))
        second = evaluate_automation_conditions(
            built, instance, asset_selection=only, cursor=first.cursor
        )
        third = evaluate_automation_conditions(
            built, instance, asset_selection=only, cursor=second.cursor
        )
    assert [found.total_requested for found in (first, second, third)] == [0, 1, 0]
    assert second.get_num_requested(AssetKey(COMPARISON)) == 1


# Dagster reads an attribute of schedules that it calls deprecated.
@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`")
def test_secrets_stay_out_of_the_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://someone:very-secret@127.0.0.1:1/v1")
    monkeypatch.setenv("TARGEN_STORE_URL", "postgresql://someone:very-secret@127.0.0.1/x")
    monkeypatch.setenv("TARGEN_MODEL", "a-model")
    shown = serialize_value(RepositorySnap.from_def(build_defs().get_repository_def()))
    assert "a-model" in shown and "OPENAI_API_KEY" in shown
    assert "very-secret" not in shown


def test_every_setting_is_described(built: Definitions) -> None:
    for kind in (LLMResource, TaskFolder, DataFolder, TablesIOManager):
        assert all(field.description for field in kind.model_fields.values()), kind
    for name in ("llm", "tasks"):
        shown = built.resources[name].config_schema.config_type.fields
        assert shown and all(field.description for field in shown.values()), name


def test_a_wrong_setting_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_ROWS", "many")
    with pytest.raises(TargenError, match="TARGEN_ROWS"):
        build_defs()


def test_loading_imports_nothing_heavy() -> None:
    code = "from dagster_project.definitions import defs\ndefs.get_repository_def()"
    listed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(HEAVY).isdisjoint(listed.stdout.split())
