"""`python -m bench [NAME ...]`: run the named benchmarks, or all of them, and print JSON."""

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import bench


def benchmarks() -> list[str]:
    """Return the names of the modules that have a function `run`, sorted."""
    folder = Path(bench.__file__).parent
    found = sorted(module.name for module in pkgutil.iter_modules(bench.__path__))
    return [name for name in found if "\ndef run(" in (folder / f"{name}.py").read_text("utf-8")]


def main(wanted: list[str]) -> int:
    """Run benchmarks in turn; print one JSON object at the end.

    Each has a process of its own, because a process inherits the peak memory of the one that
    started it. The others still run after one fails.
    """
    known = benchmarks()
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)  # noqa: T201
        return 2
    figures, failed = {}, []
    for name in wanted or known:
        if wanted == [name]:
            print(f"{name} ...", file=sys.stderr, flush=True)  # noqa: T201
            figures[name] = importlib.import_module(f"bench.{name}").run()
            continue
        done = subprocess.run(  # noqa: S603 - the names are of this folder
            [sys.executable, "-m", "bench", name], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            failed.append(name)
        else:
            figures |= json.loads(done.stdout)
    print(json.dumps(figures, indent=2))  # noqa: T201
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
