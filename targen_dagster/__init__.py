"""TarGEN in other Dagster deployments: the component, an IO manager, classes for `dagster.yaml`."""

from typing import TYPE_CHECKING, Any

from targen_dagster.component import TargenComponent

if TYPE_CHECKING:
    from resources.io_manager import TablesIOManager

__all__ = ["TablesIOManager", "TargenComponent"]


def __getattr__(name: str) -> Any:
    # Slow to import, and Dagster imports this package to list its components.
    if name == "TablesIOManager":
        from resources.io_manager import TablesIOManager  # noqa: PLC0415

        return TablesIOManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
