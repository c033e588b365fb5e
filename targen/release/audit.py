"""Audits a release: its manifest, files, upstream tables and rows."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from targen.hashing import rng, sha256_of
from targen.lineage import completions
from targen.lineage.audit import Audit, Auditor
from targen.lineage.graph import Finding
from targen.lineage.stored_files import read_rows
from targen.operators.verify import written
from targen.release.manifest import MANIFEST, text_of, version_of
from targen.release.registry import TOMBSTONE, reason_of
from targen.steps import CORRECTED_SET
from targen.store import table_digests
from targen.tables.contracts import SHOWN
from targen.tables.storage import Storage

ROWS_AUDITED: Final = 1000
"""Maximum number of rows whose completions are read again; all rows are compared."""
ROWS: Final = re.compile(r"data/[^/]+\.parquet")
ORIGINS: Final = "provenance.parquet"


@dataclass
class ReleaseAudit:
    """The result of auditing a release.

    Attributes:
        manifest: its content; empty if it is missing or was changed.
        rows: number of released rows.
        audits: audits of rows that are in the corrected set, at most `ROWS_AUDITED`.
        findings: problems and notes.
    """

    manifest: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0
    audits: list[Audit] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def check(auditor: Auditor, release: Storage, seed: int = 0) -> ReleaseAudit:
    """Audit a release.

    Args:
        auditor: the auditor of the data folder that the release was made from.
        release: the release's folder.
        seed: selects the rows whose completions are read if there are more than `ROWS_AUDITED`.

    Raises:
        TableError: the folder cannot be read.
        StoreError: the store cannot be read.
    """
    audit = ReleaseAudit()
    gone = release.read(TOMBSTONE)
    if gone is not None:
        audit.findings.append(
            Finding("note", TOMBSTONE, f"the release was withdrawn: {reason_of(gone)}")
        )
    manifest = _manifest(release, audit)
    if not manifest:
        return audit
    audit.manifest = manifest
    if gone is not None:
        return audit
    contents = _files(release, manifest, audit)
    audit.findings += _tables(auditor, manifest)
    rows = _frames(contents, audit)
    audit.rows = sum(frame.height for frame in rows.values())
    _rows(auditor, str(manifest["task"]), rows, contents.get(ORIGINS), audit, seed)
    return audit


def _manifest(release: Storage, audit: ReleaseAudit) -> dict[str, Any]:
    """Return the manifest; empty, with a finding, if it is missing or was changed."""
    text = release.read(MANIFEST)
    if text is None:
        what = f"it is missing: {release.address('')} is not a release, or it is incomplete"
        audit.findings.append(Finding("wrong", MANIFEST, what))
        return {}
    try:
        manifest: dict[str, Any] = json.loads(text)
        right = manifest["version"] == version_of(manifest) and all(
            isinstance(manifest[name], dict) for name in ("files", "upstream")
        )
        right = right and isinstance(manifest["task"], str)
        # Compare bytes: different files can parse to the same JSON.
        right = right and text_of(manifest).encode() == text
    except (ValueError, RecursionError, KeyError, TypeError, UnicodeDecodeError):
        right = False
    if not right:
        what = "it was changed: its content does not match its version"
        audit.findings.append(Finding("wrong", MANIFEST, what))
        return {}
    return manifest


def _files(release: Storage, manifest: Mapping[str, Any], audit: ReleaseAudit) -> dict[str, bytes]:
    """Return path -> content of every file; add a finding for each changed or extra file."""
    found = {}
    for path, wanted in manifest["files"].items():
        content = release.read(path)
        if content is None:
            audit.findings.append(Finding("wrong", path, "it is missing"))
            continue
        found[path] = content
        if sha256_of(content) != wanted["sha256"]:
            audit.findings.append(Finding("wrong", path, "it was changed (sha256)"))
    for path in release.keys(""):
        hidden = any(part.startswith(".") for part in path.split("/"))
        if path not in manifest["files"] and path != MANIFEST and not hidden:
            audit.findings.append(Finding("wrong", path, "it is not part of the release"))
    return found


def _tables(auditor: Auditor, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield upstream tables that no run recorded, or that have changed since."""
    for key, wanted in manifest["upstream"].items():
        content = auditor.storage.read(key)
        now = None if content is None else sha256_of(content)
        if auditor.store is None:
            yield Finding("unknown", key, f"its record cannot be checked: {auditor.why}")
            continue
        known = table_digests.recorded(auditor.store, key, wanted["sha256"])
        if known is None:
            what = "no recorded run wrote the version that the release names"
            yield Finding("wrong" if now == wanted["sha256"] else "unknown", key, what)
        elif now != wanted["sha256"]:
            what = f"run {known.run_id} wrote the version that the release was made from"
            yield Finding("note", key, f"{what}; the table has changed since")


def _frames(contents: Mapping[str, bytes], audit: ReleaseAudit) -> dict[str, pl.DataFrame]:
    frames = {}
    for path, content in contents.items():
        if ROWS.fullmatch(path):
            frame, _ = read_rows(content)
            if frame is None or "instance_id" not in frame.columns:
                audit.findings.append(Finding("wrong", path, "its rows cannot be read"))
            else:
                frames[path] = frame
    return frames


def _rows(
    auditor: Auditor,
    task: str,
    frames: Mapping[str, pl.DataFrame],
    origins: bytes | None,
    audit: ReleaseAudit,
    seed: int,
) -> None:
    """Compare every row with the corrected set, and audit the rows found there."""
    book = auditor.tables(task)
    found: list[str] = []
    lost: list[tuple[str, dict[str, Any]]] = []
    changed = 0
    for path, frame in frames.items():
        for row in frame.iter_rows(named=True):
            held = book.row(CORRECTED_SET, row["instance_id"])
            if held is None:
                lost.append((path, row))
                continue
            found.append(row["instance_id"])
            other = [name for name, value in row.items() if held.get(name, value) != value]
            changed += bool(other)
            if other and changed <= SHOWN:
                where = f"{path}, row {row['instance_id']}, column {', '.join(other)}"
                audit.findings.append(Finding("wrong", where, "it differs from the corrected set"))
    if changed > SHOWN:
        what = f"{changed - SHOWN} more rows differ from the corrected set"
        audit.findings.append(Finding("wrong", "data", what))
    chosen = found
    if len(found) > ROWS_AUDITED:
        numbers = rng("audit release", task, seed).sample(range(len(found)), ROWS_AUDITED)
        chosen = [found[number] for number in sorted(numbers)]
    audit.audits = auditor.audit(task, chosen)
    audit.findings += _lost(auditor, lost, origins)


def _lost(
    auditor: Auditor, lost: list[tuple[str, dict[str, Any]]], origins: bytes | None
) -> list[Finding]:
    """Check rows that are no longer in the corrected set against their completions."""
    if not lost:
        return []
    named: dict[str, list[str]] = {}
    frame = None if origins is None else read_rows(origins)[0]
    if frame is not None and {"instance_id", "request_ids"} <= set(frame.columns):
        named = dict(frame.select("instance_id", "request_ids").iter_rows())
    kept = {}
    if auditor.store is not None:
        asked = (name for _, row in lost for name in named.get(row["instance_id"]) or ())
        kept = completions.read(auditor.store, asked)
    bad = [
        (path, row["instance_id"])
        for path, row in lost
        if not any(
            one in kept and not kept[one].problems and written(row, kept[one])
            for one in named.get(row["instance_id"]) or ()
        )
    ]
    what = "it is neither in the corrected set nor in a completion that the release names"
    findings = [Finding("unknown", f"{path}, row {name}", what) for path, name in bad[:SHOWN]]
    if len(bad) > SHOWN:
        findings.append(
            Finding("unknown", "data", f"the same is true of {len(bad) - SHOWN} more rows")
        )
    if len(bad) < len(lost):
        what = f"{len(lost) - len(bad)} rows are no longer in the corrected set; their completions "
        findings.append(Finding("note", "data", what + "still contain them"))
    return findings
