"""The data dictionary: every column of every table, as a page."""

import sys
from collections.abc import Iterator
from pathlib import Path

from assets.columns import meaning
from targen import steps

PAGE = Path("docs/data.md")
_HEAD = """\
# Data dictionary

One Parquet file an asset and task, `<data folder>/<asset>/<task>.parquet`; what was asked for and
is no row, beside them in `<data folder>/rejected/<asset>/<task>.parquet`; rows that the corrector
was shown under a wrong label, in `<data folder>/planted/corrected_set/<task>.parquet`. The file's
metadata holds `targen.schema_version` (now {version}), `targen.step_digest` (identity of everything
that the step read of task and recipe) and, where the step asks for items, `targen.asked`: rows and
rejected items add up to it.

The asset `release` makes no table but a folder, `<data folder>/releases/<task>/<version>`:
[releases](releases.md).

Ids are the first 16 hex digits of a sha256 over what determines the row, request ids all 64: the
same on every machine and in every rerun. No table holds a time or a run, so that an unchanged table
is an unchanged file; when, by which run and at what cost a completion was made stands in the
completion store (`targen audit`, `targen costs`).

This page is written by `make dictionary`.
"""
_FIELDS = "*your fields*"
_TYPES = {str(steps.ATTRIBUTES): "List(Struct(name, value))"}
_NAMES = (*steps.STEPS, "comparison", "rejected", "planted")


def render() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD.format(version=steps.SCHEMA_VERSION)]
    for table in _NAMES:
        parts.append(f"\n## {table}\n\n| column | type | meaning |\n| --- | --- | --- |\n")
        parts.extend(f"| {name} | {dtype} | {meaning} |\n" for name, dtype, meaning in _rows(table))
    reasons = ", ".join(f"`{reason}`" for reason in steps.REASONS)
    parts.append(f"\nA reason is one of {reasons}.\n")
    return "".join(parts)


def _rows(table: str) -> Iterator[tuple[str, str, str]]:
    for name, dtype in steps.schema(table, {_FIELDS: "text"}).items():
        if name == _FIELDS:
            yield name, "by the field's type", "One column a field, in the task's order."
        else:
            yield f"`{name}`", _TYPES.get(str(dtype), str(dtype)), meaning(table, name) or ""


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
