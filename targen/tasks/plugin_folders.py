"""Plug-ins in a folder that a task names.

The modules of a folder are read once, hashed and executed from the same bytes, as submodules of a
package whose name contains the hash. A folder that changes while the process runs is thus a new
package, and code and digest always agree.
"""

import ast
import importlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from targen.errors import SpecError
from targen.hashing import digest, sha256_of
from targen.reading import read_bytes
from targen.settings import Settings, variable
from targen.tasks.plugin_declaring import collected
from targen.tasks.plugin_kinds import PluginSet

_PACKAGE: Final = "targen_folder_"
BYTES_AT_MOST: Final = 10_000_000
"""Maximum size of all files of a folder together; all of them are read and hashed."""


@dataclass(frozen=True)
class _Folder:
    """The content of a folder.

    Attributes:
        path: resolved.
        shown: the folder as the task names it, for messages and audits.
        sources: module -> bytes of its file.
        others: relative path -> sha256 of every other file.
    """

    path: Path
    shown: str
    sources: Mapping[str, bytes]
    others: Mapping[str, str]

    @property
    def package(self) -> str:
        """The name of the package: the same for the same content of the same folder."""
        hashes = {name: sha256_of(source) for name, source in self.sources.items()}
        return _PACKAGE + digest([str(self.path), hashes, dict(self.others)])[:16]

    def version(self, module: str) -> str:
        """Return the version of a module: the sha256 of all that it can be made of.

        That is its source, the modules that it imports from the folder, directly or not, and all
        other files of the folder, which it can read.
        """
        needed = {module}
        waiting = [module]
        while waiting:
            for name in _imported(self.sources[waiting.pop()]):
                if name in self.sources and name not in needed:
                    needed.add(name)
                    waiting.append(name)
        sources = {name: sha256_of(self.sources[name]) for name in needed}
        return "sha256:" + digest([sources, dict(self.others)])


def _imported(source: bytes) -> Iterator[str]:
    """Yield the names that a module may import from its own package."""
    try:
        parsed = ast.parse(source)
    except SyntaxError:
        # Of a module that was never imported.
        return
    for node in ast.walk(parsed):
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.module:
                yield node.module.partition(".")[0]
            else:
                yield from (alias.name for alias in node.names)


_folders: dict[str, _Folder] = {}
_loaded: dict[str, PluginSet] = {}
_lock = threading.RLock()


class _Loader(InspectLoader):
    def __init__(self, folder: _Folder, module: str) -> None:
        self._folder, self._module = folder, module

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._folder.sources[self._module])

    def get_filename(self, fullname: str) -> str:
        return str(self._folder.path / f"{self._module}.py")

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_source(fullname), self.get_filename(fullname))


class _Finder(MetaPathFinder):
    """Finds the modules of the folders that were read; no other process sees them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, module = fullname.rpartition(".")
        folder = _folders.get(package)
        if folder is None or module not in folder.sources:
            return None
        loader = _Loader(folder, module)
        spec = ModuleSpec(fullname, loader, origin=loader.get_filename(fullname))
        spec.has_location = True
        return spec


_finder = _Finder()


def load(folder: Path, name: str, where: str) -> PluginSet:
    """Return the plug-ins of a folder; its modules are imported if the user trusts the folder.

    Args:
        folder: resolved path, inside the folder of the task.
        name: the folder as the task names it.
        where: the place in the task file, for messages.

    Raises:
        SpecError: the folder is not trusted, or a plug-in cannot be used.
    """
    if not folder.is_dir():
        raise SpecError(f"{where}: there is no folder '{name}' beside the task")
    _check_trusted(folder, name, where)
    try:
        content = _read(folder, name)
        with _lock:
            return _load(content)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error.__cause__
    except OSError as error:
        raise SpecError(f"{where}: '{name}' cannot be read: {error.strerror or error}") from error


def _check_trusted(folder: Path, name: str, where: str) -> None:
    allowed = filter(None, (one.strip() for one in Settings.from_environment().plugins.split(",")))
    folders = [Path(one).expanduser().resolve() for one in allowed]
    if any(folder.is_relative_to(one) for one in folders):
        return
    here = Path.cwd()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    raise SpecError(
        f"{where}: the task runs the Python code in {shown}, which you have not allowed. Read it; "
        f"if you trust it, set {variable('plugins')}={shown}"
    )


def _read(folder: Path, name: str) -> _Folder:
    sources: dict[str, bytes] = {}
    others: dict[str, str] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in relative.parts):
            continue
        if not path.resolve().is_relative_to(folder):
            raise SpecError(f"{name}/{relative} is a link that leaves the folder of the plug-ins")
        if not path.is_file():
            continue
        content = read_bytes(path, BYTES_AT_MOST)
        size += len(content)
        if size > BYTES_AT_MOST:
            raise SpecError(f"the files in {name} have more than {BYTES_AT_MOST:,} bytes together")
        if path.suffix != ".py":
            others[relative.as_posix()] = sha256_of(content)
        elif len(relative.parts) > 1:
            raise SpecError(f"{name}/{relative}: modules must be in the folder itself")
        elif not path.stem.isidentifier():
            raise SpecError(f"{name}/{relative}: the name of a module needs letters, digits and _")
        else:
            sources[path.stem] = content
    modules = [module for module in sources if not module.startswith("_")]
    if not modules:
        raise SpecError(f"{name} contains no plug-in (*.py)")
    return _Folder(folder, name.rstrip("/"), sources, others)


def _load(folder: _Folder) -> PluginSet:
    package = folder.package
    if package in _loaded:
        return _loaded[package]
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    _folders[package] = folder
    made = sys.modules.setdefault(package, ModuleType(package))
    made.__path__ = []
    found = PluginSet()
    try:
        for module in folder.sources:
            if not module.startswith("_"):
                found = found.joined(_of_module(folder, module))
    except BaseException:
        for loaded in [one for one in sys.modules if one.startswith(f"{package}.")]:
            del sys.modules[loaded]
        raise
    _loaded[package] = found
    return found


def _of_module(folder: _Folder, module: str) -> PluginSet:
    file = f"{folder.shown}/{module}.py"
    try:
        imported = importlib.import_module(f"{folder.package}.{module}")
    except (Exception, SystemExit) as error:
        place = _place(error, folder, file)
        said = _said(error).replace(folder.package, "")
        raise SpecError(f"{place}: cannot be imported: {said}") from error
    return collected(imported, file, folder.version(module), file)


def _place(error: BaseException, folder: _Folder, file: str) -> str:
    """Return the deepest place of the folder's own code that an error passed."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        path, line = Path(error.filename), error.lineno
        if path.is_relative_to(folder.path):
            return f"{folder.shown}/{path.name}:{line}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(folder.path):
            return f"{folder.shown}/{path.name}:{frame.lineno}"
    return file


def _said(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}".removesuffix(": ")
