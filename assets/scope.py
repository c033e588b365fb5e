"""What the assets of one code location or component share: partitions, settings and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from dagster import AssetIn, AssetKey, PartitionsDefinition

from resources.data import DataFolder
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.settings import Settings
from targen.tasks.sections import Gate

TASKS: Final = "tasks"
LLM: Final = "llm"
DATA: Final = "data"
IO_MANAGER: Final = "io_manager"


class Resources:
    """The resources of a run; each must be among the required ones of the asset or check."""

    def __init__(self, found: Any, prefix: str) -> None:
        self._found, self._prefix = found, prefix

    @property
    def tasks(self) -> TaskFolder:
        """The task files."""
        return cast("TaskFolder", getattr(self._found, f"{self._prefix}{TASKS}"))

    @property
    def llm(self) -> LLMResource:
        """The model."""
        return cast("LLMResource", getattr(self._found, f"{self._prefix}{LLM}"))

    @property
    def data(self) -> DataFolder:
        """The data folder."""
        return cast("DataFolder", getattr(self._found, f"{self._prefix}{DATA}"))


@dataclass(frozen=True)
class Scope:
    """Partitions, settings and names of the assets that are built together.

    Attributes:
        partitions: one partition per task.
        settings: the settings.
        gates: task -> its gates.
        key_prefix: first parts of every asset key.
        name_prefix: begins the names of jobs, schedules, sensors and ops.
        resource_prefix: begins the names of the resources.
        group: the group of all assets; None groups them by purpose.
    """

    partitions: PartitionsDefinition
    settings: Settings
    gates: Mapping[str, Sequence[Gate]] = field(default_factory=dict)
    key_prefix: tuple[str, ...] = ()
    name_prefix: str = ""
    resource_prefix: str = ""
    group: str | None = None

    def key(self, asset: str) -> AssetKey:
        """Return the key of an asset."""
        return AssetKey([*self.key_prefix, asset])

    def name(self, name: str) -> str:
        """Return the name of a job, schedule, sensor or op."""
        return f"{self.name_prefix}{name}"

    def resource(self, name: str) -> str:
        """Return the key of a resource."""
        return f"{self.resource_prefix}{name}"

    def ins(self, assets: Sequence[str]) -> dict[str, AssetIn]:
        """Return an input for each upstream asset, named after it."""
        return {asset: AssetIn(self.key(asset)) for asset in assets}

    def required(self, *names: str) -> set[str]:
        """Return the keys of resources by their names; tasks and data are always among them."""
        return {self.resource(name) for name in (TASKS, DATA, *names)}

    def resources(self, context: Any) -> Resources:
        """Return the resources of a run from the context of an asset, check or sensor."""
        return Resources(context.resources, self.resource_prefix)
