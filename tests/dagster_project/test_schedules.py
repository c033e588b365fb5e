"""The schedule: one run a selected partition, off until switched on."""

from datetime import UTC, datetime

import pytest
from dagster import (
    DefaultScheduleStatus,
    Definitions,
    StaticPartitionsDefinition,
    asset,
    build_schedule_context,
)

from dagster_project import jobs, schedules
from targen.errors import TargenError
from targen.settings import Settings

_settings = Settings.from_environment

TASKS = StaticPartitionsDefinition(["copa", "rte", "rte-zerogen"])
NIGHT = datetime(2026, 5, 4, 2, tzinfo=UTC)


@asset(partitions_def=TASKS)
def table() -> None:
    """Stands for all that the job makes."""


@asset
def comparison() -> None:
    """Is no part of it."""


@asset(partitions_def=TASKS)
def release() -> None:
    """Is none either: it is asked for by hand."""


def asked(night: datetime = NIGHT) -> dict[str, str]:
    nightly = schedules.nightly(TASKS, _settings())
    defs = Definitions([table, comparison, release], schedules=[nightly], jobs=[jobs.dataset])
    context = build_schedule_context(
        scheduled_execution_time=night, repository_def=defs.get_repository_def()
    )
    tick = nightly.evaluate_tick(context)
    return {request.partition_key: request.run_key for request in tick.run_requests}


def test_every_partition_is_asked_for_once_a_night() -> None:
    assert set(asked()) == {"copa", "rte", "rte-zerogen"}
    assert asked() == asked()
    assert asked()["rte"] != asked(NIGHT.replace(day=5))["rte"]


def test_it_is_off_and_its_time_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert schedules.nightly(TASKS, _settings()).default_status == DefaultScheduleStatus.STOPPED
    assert schedules.nightly(TASKS, _settings()).cron_schedule == "0 2 * * *"
    monkeypatch.setenv("TARGEN_NIGHTLY_CRON", "30 4 * * 1")
    monkeypatch.setenv("TARGEN_NIGHTLY_TIMEZONE", "Europe/Berlin")
    changed = schedules.nightly(TASKS, _settings())
    assert (changed.cron_schedule, changed.execution_timezone) == ("30 4 * * 1", "Europe/Berlin")


def test_names_and_patterns_select(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_NIGHTLY_TASKS", "rte*, ")
    assert set(asked()) == {"rte", "rte-zerogen"}


def test_a_name_that_selects_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_NIGHTLY_TASKS", "rte,cop")
    with pytest.raises(TargenError, match="TARGEN_NIGHTLY_TASKS: no task 'cop'; .*copa"):
        schedules.nightly(TASKS, _settings())


@pytest.mark.parametrize(
    ("name", "value"),
    [("TARGEN_NIGHTLY_CRON", "every day"), ("TARGEN_NIGHTLY_TIMEZONE", "Berlin")],
)
def test_a_time_that_is_none_is_an_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TargenError, match=f"{name}='{value}'"):
        schedules.nightly(TASKS, _settings())
