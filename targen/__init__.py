"""TarGEN: labeled data sets from a task description, made with a large language model.

The names in `__all__` are the Python API; see docs/python.md.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "Generated",
    "QualityReport",
    "RowAudit",
    "SimulatorWarning",
    "TargenError",
    "audit",
    "generate",
    "generate_sync",
    "load_task",
    "report",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `import targen` stays fast. By name, because every module
    # imports this one: types are in `__init__.pyi`.
    if name in __all__:
        return getattr(importlib.import_module("targen.api"), name)
    raise AttributeError(f"module 'targen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
