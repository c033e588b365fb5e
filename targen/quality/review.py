"""Human review of finished rows: sampling, the sheet to fill in, and the stored verdicts."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from targen.errors import TargenError
from targen.files import drafted
from targen.hashing import digest
from targen.lineage.ids import reviewed_content
from targen.quality import review_tools
from targen.quality.review_strata import Row, strata, stratum_group
from targen.tables.reviews import COLUMNS, SEPARATOR
from targen.tables.spreadsheet import separated
from targen.tasks import entities, import_files
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import nearest

HEAD: Final = ("task", "instance_id", "content", "stratum", "weight")
TAIL: Final = ("label", "verdict", "comment")
OPTIONAL: Final = ("label", "comment", "reviewer")
"""Columns that a filled-in sheet may lack."""
RIGHT, WRONG = "right", "wrong"
SUSPICIOUS_SHARE: Final = 0.5
"""Share of a sample for rows whose labels or votes disagree."""
SHOWN: Final = 10
_NUMBER: Final = re.compile(r"\d+(e\d+)?")
"""Hashes that a spreadsheet reads as numbers, such as 12e4567890123456: about one in 800."""
_TRUE: Final = frozenset(
    ("true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda", "sant", "sand")
)
_FALSE: Final = frozenset(
    ("false", "falsch", "faux", "falso", "onwaar", "fałsz", "falskt", "falsk", "usann")
)
"""Truth values as Excel and LibreOffice show them in other languages."""
_HASH: Final = re.compile(r"[0-9a-f]{16}")


def content(spec: TaskSpec, row: Mapping[str, Any]) -> str:
    """Return the hash of a row as its reviewer sees it."""
    return reviewed_content(spec.content(row), row["label"])


def shares(sizes: Mapping[str, int], rows: int) -> dict[str, int]:
    """Return the number of rows to sample from each stratum.

    Half of the sample is divided rows, if there are enough. Within each half, strata get equal
    numbers; what one stratum cannot provide comes from the others.
    """
    rows = min(rows, sum(sizes.values()))
    halves = [
        {name: n for name, n in sizes.items() if stratum_group(name) == half}
        for half in ("divided", "agreed")
    ]
    divided = min(sum(halves[0].values()), round(rows * SUSPICIOUS_SHARE))
    agreed = min(sum(halves[1].values()), rows - divided)
    taken: dict[str, int] = {}
    for half, wanted in zip(halves, (rows - agreed, agreed), strict=True):
        chosen = dict.fromkeys(half, 0)
        while sum(chosen.values()) < wanted:
            open_ = [name for name in half if chosen[name] < half[name]]
            chosen[min(open_, key=lambda name: (chosen[name], name))] += 1
        taken |= chosen
    return taken


def sample(
    spec: TaskSpec,
    rows: pl.DataFrame,
    labels: pl.DataFrame | None,
    wanted: int,
    verdicts: pl.DataFrame | None = None,
) -> list[dict[str, Any]]:
    """Return a stratified sample of `wanted` rows that no verdict applies to.

    The rows of a stratum are in random order, by a hash of their content, and the strata are
    interleaved: each part from the top of the sheet has the strata in the same proportions as the
    whole, to within one row of each stratum.
    """
    known = set() if verdicts is None else set(verdicts.select("instance_id", "content").rows())
    # A row whose twin was reviewed has a label before the review, too.
    settled = "label_before_review"
    members: dict[str, list[dict[str, Any]]] = {}
    for stratum, row in zip(strata(spec, rows, labels), rows.iter_rows(named=True), strict=True):
        seen = content(spec, row)
        if row.get(settled) is None and (row["instance_id"], seen) not in known:
            members.setdefault(stratum, []).append(row | {"content": seen})
    taken = shares({name: len(group) for name, group in sorted(members.items())}, wanted)
    chosen = []
    for stratum, group in members.items():
        first = sorted(group, key=_order)[: taken[stratum]]
        weight = round(len(group) / max(len(first), 1), 6)
        for place, row in enumerate(first):
            position = place / len(first), _order({**row, "instance_id": stratum})
            chosen.append((position, row | {"stratum": stratum, "weight": weight}))
    return [row for _, row in sorted(chosen, key=lambda one: one[0])]


def _order(row: Row) -> str:
    return digest(["review", row["instance_id"], row["content"]])


def sheet(spec: TaskSpec, chosen: Sequence[Mapping[str, Any]]) -> str:
    """Return a sample as CSV, safe to open in a spreadsheet."""
    columns = [*HEAD, *spec.fields, *TAIL]
    lines = []
    for row in chosen:
        given = {**row, "task": spec.name, "verdict": "", "comment": ""}
        given |= {name: _hash_cell(row[name]) for name in ("instance_id", "content")}
        lines.append([_joined(given[name]) for name in columns])
    return separated(columns, lines)


def _joined(value: Any) -> Any:
    return SEPARATOR.join(str(one) for one in value) if isinstance(value, list) else value


def _hash_cell(text: str) -> str:
    """Return a hash as a cell that no spreadsheet takes for a number."""
    return f"'{text}" if _NUMBER.fullmatch(text) else text


def write_sheet(path: Path, text: str) -> None:
    """Write a sheet; a file that somebody has filled in, or that is not a sheet, is kept.

    Raises:
        TargenError: such a file is there, or the folder cannot be written.
    """
    with drafted(path, "--output") as draft:
        if path.exists():
            try:
                filled = any(row.get("verdict", "").strip() for _, row in _read(path))
            except TargenError as error:
                raise TargenError(
                    f"{path} exists and is not a review sheet. Name another --output."
                ) from error
            if filled:
                raise TargenError(
                    f"{path} contains verdicts. Import it (targen review import), or name another "
                    "--output."
                )
        # With a mark, because spreadsheets else take UTF-8 for something else.
        draft.write(text.encode("utf-8-sig"))


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return line number and cells of each row of a sheet; cells of missing columns are empty."""
    if path.suffix in review_tools.SUFFIXES:
        return review_tools.answers(path)
    try:
        rows = import_files.read_table(path, fill=True)
    except OSError as error:
        raise TargenError(
            f"Cannot read {path}: {error.strerror}. Save the sheet as CSV, UTF-8."
        ) from error
    cells: dict[str, list[str]] = {"comment": [""] * len(rows.places)}
    cells["label"] = cells["reviewer"] = cells["comment"]
    for name in (*HEAD[:3], "verdict", *OPTIONAL):
        column = rows.find(name)
        if column is not None:
            cells[name] = [text.strip() for text in rows.columns[column]]
        elif name not in OPTIONAL:
            raise TargenError(
                f"{path}:{rows.header}: the column {name} is missing. Export a sheet and keep its "
                "columns."
            )
    listed = zip(*cells.values(), strict=True)
    found = [dict(zip(cells, values, strict=True)) for values in listed]
    return [(line, row) for line, row in zip(rows.places, found, strict=True) if any(row.values())]


def task_of(path: Path) -> str:
    """Return the task that a sheet is for.

    Raises:
        TargenError: it cannot be read, or names no task or several.
    """
    named = sorted({row["task"] for _, row in _read(path)} - {""})
    if len(named) != 1:
        found = ", ".join(named)[:80] or "none"
        raise TargenError(f"{path}: the column task must name one task, but names {found}.")
    return named[0]


@dataclass(frozen=True)
class Imported:
    """The content of a filled-in sheet.

    Attributes:
        verdicts: as `targen.tables.reviews.COLUMNS`.
        empty: rows without a verdict.
        commented: lines without a verdict that have a comment.
        lapsed: lines with a verdict on a row that has changed since, or is gone; left out.
        by_content: lines whose `instance_id` is damaged; their content identified the rows.
    """

    verdicts: pl.DataFrame
    empty: int
    commented: tuple[int, ...] = ()
    lapsed: tuple[int, ...] = ()
    by_content: tuple[int, ...] = ()


def read_sheet(
    spec: TaskSpec, known: Mapping[str, Row], path: Path, reviewer: str, moment: str
) -> Imported:
    """Return the verdicts of a filled-in sheet.

    Args:
        spec: the task.
        known: instance_id -> the row with the label that a reviewer sees or saw (`reviewable`).
        path: the sheet.
        reviewer: name of the reviewer, where the sheet's column `reviewer` is missing or empty.
        moment: time of the import, UTC, ISO 8601.

    Raises:
        TargenError: what is wrong, with line numbers; or there is no verdict at all.
    """
    contents = {row_id: content(spec, row) for row_id, row in known.items()}
    found: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    by_content: list[int] = []
    lapsed: list[int] = []
    commented: list[int] = []
    empty = 0
    for line, row in _read(path):
        if not row["verdict"]:
            edited = _edited_label(spec, known.get(row["instance_id"].removeprefix("'")), row)
            if edited:
                problems.append(f"{path}:{line}: {edited}")
            empty += 1
            commented += [line] * bool(row["comment"])
            continue
        row_id, seen = (row[name].removeprefix("'").lower() for name in ("instance_id", "content"))
        if row_id not in known:
            alike = [one for one, there in contents.items() if there == seen]
            if len(alike) == 1:
                row_id = alike[0]
                by_content.append(line)
        now = contents.get(row_id)
        if now is not None and _is_number_of(seen, now):
            seen = now
        damaged = _damaged(row_id, seen, contents)
        if damaged is not None:
            problems.append(
                f"{path}:{line}: the column {damaged} has {row[damaged][:80]!r}, which is no hash: "
                "a spreadsheet may have changed it. Export a sheet to another file, copy the cell "
                "from there, and keep it as text"
            )
            continue
        if now != seen:
            lapsed.append(line)
            continue
        judged = _verdict(spec, known[row_id], row["verdict"])
        if isinstance(judged, str):
            problems.append(f"{path}:{line}: {judged}")
            continue
        entry = {
            "instance_id": row_id,
            "content": seen,
            "comment": row["comment"] or None,
            "seen_label": _text(known[row_id]["label"]),
            "reviewer": row["reviewer"] or reviewer,
            "reviewed_at": moment,
            **judged,
        }
        before = found.setdefault(row_id, entry)
        if (before["right"], before["label"]) != (entry["right"], entry["label"]):
            problems.append(f"{path}:{line}: {row_id} has two verdicts; keep one")
    if problems:
        more = f"\n… and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise TargenError("\n".join(problems[:SHOWN]) + more)
    if not found:
        why = (
            f"all {len(lapsed)} are on rows that have changed. Export a new sheet"
            if lapsed
            else "its column verdict is empty. Write right, wrong or the right label there, in as "
            "many rows as you judge, and import it again"
        )
        raise TargenError(f"{path} contains no verdict on {spec.name}: {why}.")
    frame = pl.DataFrame(list(found.values()), schema=dict(COLUMNS)).sort("instance_id")
    return Imported(frame, empty, tuple(commented), tuple(lapsed), tuple(by_content))


def _text(label: Any) -> str:
    return SEPARATOR.join(label) if isinstance(label, list) else str(label)


def _edited_label(spec: TaskSpec, known: Row | None, row: Mapping[str, str]) -> str:
    """Return what to do if a person wrote another label over the row's; empty if they did not."""
    if known is None or not row["label"]:
        return ""
    judged = _verdict(spec, known, row["label"])
    if isinstance(judged, str) or judged["right"] or judged["label"] is None:
        return ""
    return (
        f"the label was changed to '{judged['label']}', but there is no verdict. Leave the column "
        "label as it is, and write the right label into the column verdict"
    )


def _is_number_of(cell: str, text: str) -> bool:
    """Return whether a cell shows the number that a spreadsheet took a hash for."""
    try:
        shown = float(cell.replace(",", "."))
    except ValueError:
        return False
    return bool(_NUMBER.fullmatch(text)) and math.isclose(shown, float(text), rel_tol=1e-5)


def _damaged(row_id: str, seen: str, contents: Mapping[str, str]) -> str | None:
    """Return the column whose hash a spreadsheet has changed, None if both may be as exported."""
    if row_id not in contents and not _HASH.fullmatch(row_id):
        return "instance_id"
    return None if _HASH.fullmatch(seen) else "content"


def _verdict(spec: TaskSpec, row: Mapping[str, Any], said: str) -> dict[str, Any] | str:
    """Return what a cell says of a row, or what is wrong with it, in words."""
    if said.lower() in (RIGHT, WRONG):
        return {"right": said.lower() == RIGHT, "label": None}
    options = list(spec.labels) or list(row.get(spec.answer.choices or "") or [])
    bare = said.removeprefix("'")
    if spec.answer.kind == "spans":
        return _entities(spec, row, bare)
    many = spec.answer.kind == "multi"
    parts = [part.strip() for part in bare.split(SEPARATOR)] if many else [bare.strip()]
    named: set[str] = set()
    for part in parts:
        name = _option(part, options)
        if name is not None:
            named.add(name)
        elif part or not many:
            hint = nearest(part, [RIGHT, WRONG, *options])
            return f"'{part[:80]}' is no verdict: write right, wrong or the right label; {hint}"
    labels = sorted(named)
    same = labels == (row["label"] if many else [row["label"]])
    return {"right": same, "label": None if same else SEPARATOR.join(labels)}


def _entities(spec: TaskSpec, row: Mapping[str, Any], said: str) -> dict[str, Any] | str:
    """Return the verdict that lists entities as `type: text`, or what is wrong with it."""
    labels = sorted({part.strip() for part in said.split(SEPARATOR) if part.strip()})
    unknown = next((one for one in labels if entities.parts(one)[0] not in spec.labels), None)
    problem = entities.located(str(row.get(spec.answer.text or "") or ""), labels)[1]
    if unknown is not None or problem is not None:
        return (
            f"'{said[:80]}' is no verdict: write right, wrong, or entities as `type: text` with "
            f"{SEPARATOR.strip()} between them; {problem or 'a type is unknown'}"
        )
    same = labels == row["label"]
    return {"right": same, "label": None if same else SEPARATOR.join(labels)}


def _option(said: str, options: Sequence[str]) -> str | None:
    """Return the option that a person wrote; its case matters only if options differ by it.

    Spreadsheets show the label true as a truth value in their own language, and the label 01 as 1.
    """
    if said in options:
        return said
    for form in (_folded, _truth, _number):
        alike = [name for name in options if form(name) is not None and form(name) == form(said)]
        if alike:
            return alike[0] if len(alike) == 1 else None
    return None


def _folded(text: str) -> str | None:
    return text.strip().casefold()


def _truth(text: str) -> bool | None:
    word = text.strip().casefold()
    return word in _TRUE if word in _TRUE | _FALSE else None


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
