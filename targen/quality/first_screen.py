"""What the first screen of the report says: findings, what to do next, and the contents."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import targen
from targen.quality import rules

GROUPS: Final = {
    "Labels": ("agreement", "labels", "difficulty", "review"),
    "Texts": ("texts", "repetition", "shortcuts"),
    "Variety": ("wording", "topics", "meaning", "balance", "mentions", "coverage"),
    "Gold rows": ("reference",),
    "Production": ("yield", "gates", "other", "unmeasured"),
}
"""Group of the contents -> its sections, in the order of the page."""
_GATES: Final = "gates"
_MARK: Final = re.compile(r'<meta name="origin" content="(\d{4}-\d\d-\d\d) ?([\w-]*)">')


@dataclass(frozen=True)
class Origin:
    """When and by what a page was written. Not part of the report's JSON, which is reproducible.

    Attributes:
        day: the date of the page.
        run: id of the run, or None.
    """

    day: date
    run: str | None = None

    @property
    def mark(self) -> str:
        """The content of the page's `<meta name="origin">`, which `read` understands."""
        return f"{self.day.isoformat()} {self.run or ''}".strip()

    @classmethod
    def read(cls, page: str) -> "Origin | None":
        """Return the origin of a page; None without one."""
        found = _MARK.search(page)
        return None if found is None else cls(date.fromisoformat(found[1]), found[2] or None)


def troubles(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the missed gates and the findings that are not good, the most severe first."""
    found = []
    for gate in content["gates"]:
        if gate["passed"] is not True:
            blocks = gate["severity"] == "error"
            level = "bad" if blocks else "warn"
            text = {"text": gate["text"], "action": "", "at": _GATES, "level": level}
            found.append((0 if blocks else 2, text))
    ranks = {"bad": 1, "warn": 3, "note": 4}
    found += [(ranks[f["level"]], f) for f in content["findings"] if f["level"] in ranks]
    return [dict(item) for _, item in sorted(found, key=lambda one: one[0])]


def next_step(content: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    """Return what to do next, as a sentence or two."""
    acts = [(item["level"], item["action"]) for item in found if item["action"]]
    if acts:
        # Two failures are repaired together, but a failure goes before warnings.
        first = dict.fromkeys(text for level, text in acts[:2] if level == acts[0][0])
        return " ".join([*first, "Then make the report again."])
    if any(item["level"] in ("bad", "warn") for item in found):
        return "See the gates below for what is missing."
    unmeasured = [item for item in found if item.get("unmeasured")]
    if unmeasured:
        return "Measure what is missing before you release the set: the list says how."
    return (
        "The checks ask for no repair. Read some rows, train a model on them, and test it on gold "
        "rows of your own."
    )


def contents(
    sections: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[tuple[str, Any, str | None]]]]:
    """Return group -> (id, heading, level of its worst finding or None) of each section."""
    grouped = {name for ids in GROUPS.values() for name in ids}
    last = list(GROUPS)[-1]
    made = []
    for group, ids in GROUPS.items():
        known = [name for name in ids if name in sections]
        known += [name for name in sections if name not in grouped] if group == last else []
        parts = [
            (name, sections[name], rules.worst_of([f["level"] for f in found if f["at"] == name]))
            for name in known
        ]
        if parts:
            made.append((group, parts))
    return made


def origin(content: Mapping[str, Any], written: Origin | None) -> list[tuple[str, str]]:
    """Return name and value of each fact about where the page comes from.

    Args:
        content: the report's JSON.
        written: when and by what the page was written, if known.
    """
    file, gold = content["file"], content["reference_name"]
    facts = [
        ("Date", f"{written.day:%B} {written.day.day}, {written.day.year}" if written else ""),
        ("Task", content["task"]),
        ("Recipe", content["recipe"] or ""),
        ("File", _read(file) if file else ""),
        ("Gold rows", f"{gold} ({content['reference_rows']:,})" if gold else "none"),
        ("Models", ", ".join(content["models"])),
        ("Run", (written.run or "")[:8] if written else ""),
        ("TarGEN", targen.__version__),
    ]
    return [(name, value) for name, value in facts if value]


def _read(file: Mapping[str, Any]) -> str:
    cells = f", cells separated by {file['separated_by']}" if file["separated_by"] else ""
    empty = sum(file["empty"].values())
    return f"{file['name']}{cells}, {f'{empty:,}' if empty else 'no'} empty cells"
