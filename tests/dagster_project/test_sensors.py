"""The sensor: it asks for the first changed step of a made task, once, and for nothing else."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.test_utils import create_run_for_test

from dagster_project import sensors
from dagster_project.definitions import build_defs
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.steps import STEPS
from targen.tables import reviews
from tests.support.specs import MOOD, RECIPES, write_task


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def tasks(tmp_path: Path) -> TaskFolder:
    write_task(tmp_path / "tasks")
    return TaskFolder(tasks_dir=str(tmp_path / "tasks"), recipes_dir=str(RECIPES))


def data_of(tasks: TaskFolder) -> DataFolder:
    return DataFolder(data_dir=str(Path(tasks.tasks_dir).parent / "data"))


def rewrite(tasks: TaskFolder, text: str) -> None:
    write_task(Path(tasks.tasks_dir), text)


def make(instance: DagsterInstance, tasks: TaskFolder, *steps: str) -> None:
    digests = sensors.digests("mood", tasks, data_of(tasks))
    for step in steps or STEPS:
        event = AssetMaterialization(
            AssetKey(step), partition="mood", metadata={"step_digest": digests[step]}
        )
        instance.report_runless_asset_event(event)


def tick(built: Definitions, instance: DagsterInstance, tasks: TaskFolder) -> SensorExecutionData:
    repository = built.get_repository_def()
    resources = {"tasks": tasks, "data": data_of(tasks)}
    with build_sensor_context(
        instance=instance, resources=resources, repository_def=repository
    ) as context:
        return repository.get_sensor_def(sensors.CHANGED_STEPS).evaluate_tick(context)


def look(instance: DagsterInstance, tasks: TaskFolder) -> tuple[list[RunRequest], str]:
    ticked = tick(build_defs({"tasks": tasks}), instance, tasks)
    return list(ticked.run_requests or []), ticked.skip_message or ""


def steps_of(request: RunRequest) -> list[str]:
    return [key.path[-1] for key in request.asset_selection or []]


def test_what_was_never_made_is_left_alone(instance: DagsterInstance, tasks: TaskFolder) -> None:
    requests, why = look(instance, tasks)
    assert not requests and "No table is older than its task" in why


def test_nothing_changed_asks_for_nothing(instance: DagsterInstance, tasks: TaskFolder) -> None:
    make(instance, tasks)
    assert look(instance, tasks)[0] == []


def test_a_changed_constraint_asks_for_the_instances_and_all_below(
    instance: DagsterInstance, tasks: TaskFolder
) -> None:
    make(instance, tasks)
    rewrite(tasks, MOOD.replace("constraint: The writer is sad.", "constraint: The writer weeps."))
    (request,) = look(instance, tasks)[0]
    assert request.partition_key == "mood"
    assert steps_of(request) == ["instances", "labels", "corrected_set", "quality_report"]


def test_a_changed_context_asks_for_all_that_follows(
    instance: DagsterInstance, tasks: TaskFolder
) -> None:
    make(instance, tasks)
    rewrite(tasks, MOOD.replace("what: places", "what: rooms"))
    (request,) = look(instance, tasks)[0]
    assert steps_of(request) == list(STEPS[STEPS.index("contexts") :])


def test_more_votes_ask_for_the_labels_and_all_below(
    instance: DagsterInstance, tasks: TaskFolder
) -> None:
    make(instance, tasks)
    rewrite(tasks, MOOD + "  labels: {votes: 3}\n")
    (request,) = look(instance, tasks)[0]
    assert steps_of(request) == ["labels", "corrected_set", "quality_report"]


def test_one_change_has_one_key_until_something_is_made(
    instance: DagsterInstance, tasks: TaskFolder
) -> None:
    make(instance, tasks)
    rewrite(tasks, MOOD.replace("title: Mood", "title: Moods"))
    first, again = look(instance, tasks)[0][0], look(instance, tasks)[0][0]
    assert first.run_key == again.run_key
    make(instance, tasks)
    assert look(instance, tasks)[0] == []
    rewrite(tasks, MOOD)
    back = look(instance, tasks)[0][0]
    assert back.run_key != first.run_key


def test_a_run_under_way_is_waited_for(instance: DagsterInstance, tasks: TaskFolder) -> None:
    make(instance, tasks)
    rewrite(tasks, MOOD.replace("what: places", "what: rooms"))
    create_run_for_test(
        instance, status=DagsterRunStatus.STARTED, tags={PARTITION_NAME_TAG: "mood"}
    )
    requests, why = look(instance, tasks)
    assert not requests and "mood: contexts has changed, and a run of it is under way" in why


def test_a_task_that_is_no_partition_yet_is_skipped_and_said(
    instance: DagsterInstance, tasks: TaskFolder
) -> None:
    built = build_defs({"tasks": tasks})
    other = MOOD.replace("name: mood", "name: other")
    write_task(Path(tasks.tasks_dir), other, "other")
    ticked = tick(built, instance, tasks)
    assert not ticked.run_requests
    assert "other: new task; reload the code location" in (ticked.skip_message or "")


def test_a_wrong_task_does_not_hide_the_others(
    instance: DagsterInstance, tasks: TaskFolder
) -> None:
    other = MOOD.replace("name: mood", "name: other")
    write_task(Path(tasks.tasks_dir), other, "other")
    make(instance, tasks)
    write_task(Path(tasks.tasks_dir), other.replace("rows: 8", "rows: many"), "other")
    rewrite(tasks, MOOD.replace("title: Mood", "title: Moods"))
    requests, _ = look(instance, tasks)
    assert [request.partition_key for request in requests] == ["mood"]


def test_an_imported_review_asks_for_the_corrected_set_and_what_is_below(
    instance: DagsterInstance, tasks: TaskFolder
) -> None:
    make(instance, tasks)
    place = data_of(tasks).tables().storage
    row = {"instance_id": "a", "content": "b", "right": True}
    reviews.keep(place, "mood", pl.DataFrame([row], schema=dict(reviews.COLUMNS)))
    requests, _ = look(instance, tasks)
    assert [request.tags["targen/first_changed"] for request in requests] == ["corrected_set"]
