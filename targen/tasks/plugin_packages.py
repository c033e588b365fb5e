"""Plug-ins of installed packages, by the entry points `targen.plugins`."""

import importlib
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from targen.errors import SpecError
from targen.tasks.plugin_declaring import collected
from targen.tasks.plugin_kinds import PluginSet

GROUP: Final = "targen.plugins"
"""The group of entry points; each one names a module."""


@lru_cache(maxsize=1)
def installed() -> PluginSet:
    """Return the plug-ins of all installed packages; read once per process.

    Raises:
        SpecError: a plug-in cannot be used.
    """
    found = PluginSet()
    for point in sorted(entry_points(group=GROUP), key=lambda one: (one.value, one.name)):
        found = found.joined(_of(point))
    return found


def _of(point: EntryPoint) -> PluginSet:
    package = "an unknown package" if point.dist is None else point.dist.name
    version = package if point.dist is None else f"{package} {point.dist.version}"
    start = f"the plug-in '{point.name}' of the package {package}"
    end = f"Repair the package, or uninstall it: pip uninstall {package}"
    try:
        if point.attr:
            raise SpecError(f"its entry point must name a module, not {point.value}")
        module = importlib.import_module(point.module)
        file = module.__file__ or point.module
        return collected(module, f"{package}: {point.module}", version, file)
    except SpecError as error:
        raise SpecError(f"{start}: {error}. {end}") from error
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise SpecError(f"{start}: {point.module} cannot be imported: {said}. {end}") from error
