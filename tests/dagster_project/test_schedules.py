"""The schedule: one run a selected partition, off until switched on."""

from datetime import UTC, datetime

import pytest
from dagster import (
    DefaultScheduleStatus,
    Definitions,
    ScheduleDefinition,
    StaticPartitionsDefinition,
    build_schedule_context,
)

from assets.scope import Scope
from dagster_project import jobs, schedules
from dagster_project.definitions import location, make_resources
from targen.errors import TargenError
from targen.settings import Settings

TASKS = StaticPartitionsDefinition(["copa", "rte", "rte-zerogen"])
NIGHT = datetime(2026, 5, 4, 2, tzinfo=UTC)


def nightly() -> ScheduleDefinition:
    scope = Scope(TASKS, Settings.from_environment())
    return schedules.nightly(scope, jobs.build(scope).dataset)


def asked(night: datetime = NIGHT) -> dict[str, str]:
    scope = Scope(TASKS, Settings.from_environment())
    settings = Settings.from_environment()
    defs = Definitions.merge(location(scope), Definitions(resources=make_resources(settings)))
    repository = defs.get_repository_def()
    context = build_schedule_context(scheduled_execution_time=night, repository_def=repository)
    tick = repository.get_schedule_def(schedules.NIGHTLY).evaluate_tick(context)
    return {request.partition_key: request.run_key for request in tick.run_requests}


def test_every_partition_is_asked_for_once_a_night() -> None:
    assert set(asked()) == {"copa", "rte", "rte-zerogen"}
    assert asked() == asked()
    assert asked()["rte"] != asked(NIGHT.replace(day=5))["rte"]


def test_it_is_off_and_its_time_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nightly().default_status == DefaultScheduleStatus.STOPPED
    assert nightly().cron_schedule == "0 2 * * *"
    monkeypatch.setenv("TARGEN_NIGHTLY_CRON", "30 4 * * 1")
    monkeypatch.setenv("TARGEN_NIGHTLY_TIMEZONE", "Europe/Berlin")
    changed = nightly()
    assert (changed.cron_schedule, changed.execution_timezone) == ("30 4 * * 1", "Europe/Berlin")


def test_names_and_patterns_select(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_NIGHTLY_TASKS", "rte*, ")
    assert set(asked()) == {"rte", "rte-zerogen"}


def test_a_name_that_selects_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_NIGHTLY_TASKS", "rte,cop")
    with pytest.raises(TargenError, match="TARGEN_NIGHTLY_TASKS: no task 'cop'; .*copa"):
        nightly()


@pytest.mark.parametrize(
    ("name", "value"),
    [("TARGEN_NIGHTLY_CRON", "every day"), ("TARGEN_NIGHTLY_TIMEZONE", "Berlin")],
)
def test_a_time_that_is_none_is_an_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TargenError, match=f"{name}='{value}'"):
        nightly()
