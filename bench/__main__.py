"""`python -m bench [NAME ...]`: run the named benchmarks, or all of them, and print JSON."""

import importlib
import json
import pkgutil
import sys

import bench


def names() -> list[str]:
    """Return the names of the benchmarks, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name != "__main__")


def benchmarks() -> list[str]:
    """Return the modules that have a function `run`."""
    return [n for n in names() if hasattr(importlib.import_module(f"bench.{n}"), "run")]


def main(wanted: list[str]) -> int:
    """Run benchmarks in turn; print one JSON object at the end."""
    known = benchmarks()
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)  # noqa: T201
        return 2
    figures = {}
    for name in wanted or known:
        print(f"{name} ...", file=sys.stderr, flush=True)  # noqa: T201
        figures[name] = importlib.import_module(f"bench.{name}").run()
    print(json.dumps(figures, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
