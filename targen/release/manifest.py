"""Builds the files of a release and its manifest; equal inputs give equal bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

import targen
from targen.errors import TargenError
from targen.hashing import digest
from targen.release import card, superglue
from targen.release.export import parquet
from targen.release.inputs import ReleaseInputs, fingerprint, task_dump
from targen.release.provenance import provenance
from targen.release.rows import finished, json_lines, label_counts, reviewed_rows
from targen.release.splits import divide
from targen.steps import INSTANCES, QUALITY_REPORT
from targen.tasks.spec import TaskSpec

FORMAT: Final = 1
"""Version of the layout of a release."""
VERSION_DIGITS: Final = 16
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class Contents:
    """An unwritten release."""

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The release's version: 16 hex digits of a sha256 over its manifest."""
        return str(self.manifest["version"])


def build(inputs: ReleaseInputs) -> Contents:
    """Build a release from its inputs.

    Raises:
        TableError: the corrected set is of another edition of the task.
    """
    spec = inputs.spec
    rows = finished(spec, inputs.rows)
    parts = divide(spec, rows, inputs.tables[INSTANCES].table)
    lines = _superglue(spec, parts)
    files = {f"data/{name}.parquet": parquet(part) for name, part in parts.items()}
    files |= {f"superglue/{path}": json_lines(objects) for path, objects in lines.items()}
    files["provenance.parquet"] = parquet(provenance(parts, inputs.tables))
    files["README.md"] = card.render(inputs, parts, bool(lines)).encode()
    manifest = _manifest(inputs, parts, files)
    content = text_of(manifest)
    return Contents({**files, MANIFEST: content.encode()}, manifest)


def text_of(manifest: Mapping[str, Any]) -> str:
    """Return the manifest's file; no other text of the same content is one."""
    return json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def version_of(manifest: Mapping[str, Any]) -> str:
    """Return the version of a manifest, a hash of its content."""
    content = {name: value for name, value in manifest.items() if name != "version"}
    return digest(content)[:VERSION_DIGITS]


def _superglue(
    spec: TaskSpec, parts: Mapping[str, pl.DataFrame]
) -> Mapping[str, list[dict[str, Any]]]:
    """Return the lines of SuperGLUE's files; empty if the task does not support the format."""
    try:
        superglue.format_of(spec)
    except TargenError:
        return {}
    return superglue.files(spec, parts)


def _manifest(
    inputs: ReleaseInputs, parts: Mapping[str, pl.DataFrame], files: Mapping[str, bytes]
) -> dict[str, Any]:
    spec = inputs.spec
    steps = {step: one.step_digest for step, one in inputs.tables.items()}
    task_digest = digest(task_dump(spec))
    recipe_digest = digest(spec.recipe.model_dump(mode="json"))
    manifest = {
        "format": FORMAT,
        "task": spec.name,
        "task_digest": task_digest,
        "recipe": spec.recipe.name,
        "recipe_digest": recipe_digest,
        "step_digests": {**steps, QUALITY_REPORT: inputs.report_digest},
        "license": spec.release.license,
        "simulated": bool(inputs.report.get("simulated")),
        "project_version": targen.__version__,
        # Other releases of the Parquet writer may encode the same rows differently.
        "written_by": f"polars {pl.__version__}",
        "inputs": inputs_digest(inputs, task_digest, recipe_digest),
        "splits": {
            name: {"rows": part.height, "labels": label_counts(spec, part)}
            for name, part in parts.items()
        },
        "files": {path: fingerprint(content) for path, content in sorted(files.items())},
        "upstream": inputs.upstream,
    }
    reviewed = reviewed_rows(inputs.rows)
    if reviewed:
        manifest["reviewed_rows"] = reviewed
    return {**manifest, "version": version_of(manifest)}


def inputs_digest(inputs: ReleaseInputs, task_digest: str, recipe_digest: str) -> str:
    """Return the sha256 of task, recipe and rows, independent of file encoding.

    It identifies a withdrawn release, even if other software would write other bytes.
    """
    tables = {step: stored.data_version for step, stored in inputs.tables.items()}
    return digest([FORMAT, task_digest, recipe_digest, tables])
