"""What a release holds: files that others read, a card, a manifest, the same bytes each time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO

import polars as pl
import pytest
from ruamel.yaml import YAML

from targen.lineage.graph import TaskTables, trace
from targen.quality.inputs import report_digest
from targen.release import manifest
from targen.release.inputs import fingerprint
from targen.release.manifest import MANIFEST
from tests.release.conftest import ROWS, Made
from tests.support.specs import ROOT, real_task

Ready = Callable[[str], Made]

PRINT = """
import sys
from targen.store.completions import Store
from targen.tables.storage import LocalStorage
from targen.release import manifest
from targen.release import inputs
from targen.release.inputs import fingerprint
from targen.tables.files import Tables
from tests.support.specs import ROOT, real_task
for task, folder, digest in zip(*[iter(sys.argv[2:])] * 3):
    spec = real_task(task, int(sys.argv[1])).model_copy(update={"gates": []})
    store = Store(f"sqlite:///{folder}/completions.db")
    made = manifest.build(inputs.gather(spec, Tables(LocalStorage(folder)), store, digest))
    print(made.version, [(path, fingerprint(file)) for path, file in made.files.items()])
"""


def parts(made: manifest.Contents) -> dict[str, pl.DataFrame]:
    return {
        name: pl.read_parquet(BytesIO(made.files[f"data/{name}.parquet"]))
        for name in made.manifest["splits"]
    }


def test_two_processes_make_the_same_bytes(ready: Ready) -> None:
    made = [ready("rte"), ready("axg")]
    words = [w for m in made for w in (m.spec.name, str(m.folder), report_digest(m.spec))]
    said = {
        subprocess.run(
            [sys.executable, "-c", PRINT, str(ROWS), *words],
            cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1
    versions = [line.split()[0] for line in said.pop().splitlines()]
    assert versions == [m.release.version for m in made]


def test_every_row_is_in_one_split_with_its_labels(ready: Ready) -> None:
    made = ready("rte")
    released = parts(made.release)
    whole = pl.concat(released.values())
    corrected = made.gathered().rows
    assert whole["instance_id"].is_unique().all() and whole.height == ROWS
    assert whole.sort("instance_id").equals(corrected.select(whole.columns).sort("instance_id"))
    for name, split in made.release.manifest["splits"].items():
        counts = dict(released[name]["label"].value_counts().iter_rows())
        assert split == {
            "rows": released[name].height,
            "labels": {label: counts.get(label, 0) for label in made.spec.labels},
        }


def test_twins_are_never_parted(ready: Ready) -> None:
    made = ready("axg").release
    pairs = [set(part["pair_id"]) for part in parts(made).values()]
    assert len(pairs) > 1
    assert len(set.union(*pairs)) == sum(map(len, pairs))
    assert "superglue/AX-g/AX-g.jsonl" in made.files


def test_the_manifest_knows_every_file_and_all_that_it_came_from(ready: Ready) -> None:
    made = ready("rte")
    release = made.release
    said = json.loads(release.files[MANIFEST])
    assert list(release.files)[-1] == MANIFEST
    assert said["files"] == {
        path: fingerprint(content) for path, content in release.files.items() if path != MANIFEST
    }
    assert {f"superglue/RTE/{name}.jsonl" for name in ("train", "val", "test")} <= set(
        said["files"]
    )
    on_disk = {
        path.relative_to(made.folder).as_posix()
        for path in made.folder.rglob("*")
        if path.suffix in (".parquet", ".json", ".html") and "releases" not in path.parts
    }
    assert set(said["upstream"]) == on_disk
    for key, wanted in said["upstream"].items():
        assert fingerprint((made.folder / key).read_bytes()) == wanted
    assert said["version"] == manifest.version_of(said) == release.version
    assert len(release.version) == 16


def test_nothing_tells_when_or_where_it_was_made(ready: Ready) -> None:
    made = ready("rte")
    text = b"".join(made.release.files.values())
    assert str(made.folder).encode() not in text
    assert not any(word in text for word in (b"created_at", b"run_id", b"latency"))


def test_another_licence_is_another_version(rte: Made) -> None:
    before = rte.release.version
    release = rte.spec.release.model_copy(update={"license": "cc-by-4.0"})
    spec = rte.spec.model_copy(update={"release": release})
    after = manifest.build(rte.gathered(spec))
    assert after.version != before
    assert b'license: "cc-by-4.0"' in after.files["README.md"]
    assert b"license of the rows is unknown" not in after.files["README.md"]


def test_each_row_leads_to_its_completions(ready: Ready) -> None:
    made = ready("rte")
    gathered = made.gathered()
    origins = pl.read_parquet(BytesIO(made.release.files["provenance.parquet"]))
    known = dict(gathered.served.select("request_id", "step").iter_rows())
    assert origins.height == ROWS
    for ids in origins["request_ids"]:
        steps = [known[name] for name in ids]
        assert {"contexts", "seeds", "instances", "labels", "corrected_set"} <= set(steps)


@pytest.mark.parametrize("task", ["rte", "rte-attrprompt"])
def test_the_completions_of_a_row_are_those_that_an_audit_names(task: str, ready: Ready) -> None:
    made = ready(task)
    book = TaskTables(made.place, task)
    origins = pl.read_parquet(BytesIO(made.release.files["provenance.parquet"]))
    for instance_id, ids in origins.select("instance_id", "request_ids").iter_rows():
        way = trace(book, instance_id)
        assert way is not None
        assert sorted(way.request_ids) == ids


def test_the_card_has_a_header_that_is_yaml_and_says_what_is_there(ready: Ready) -> None:
    made = ready("rte")
    release = made.release
    _, header, body = release.files["README.md"].decode().split("---\n", 2)
    said = YAML(typ="safe").load(header)
    assert said["language"] == ["en"] and said["license"] == "unknown"
    assert said["size_categories"] == ["n<1K"]
    assert said["task_categories"] == ["text-classification"]
    assert {"synthetic", "targen", "simulated"} == set(said["tags"])
    (config,) = said["configs"]
    files = {file["split"]: file["path"] for file in config["data_files"]}
    assert files == {name: f"data/{name}.parquet" for name in release.manifest["splits"]}
    assert set(files.values()) <= set(release.files)
    assert "made by the simulator; not training data" in body
    for wanted in (
        "Gupta et al., 2024", "targen-embedded", "self_correct".replace("_", "\\_"), "US dollars",
        "95% interval", "was not shown the intended label", "The task has no gates",
    ):  # fmt: skip
        assert wanted in body or wanted.replace("\\", "") in body, wanted


def test_the_card_of_a_task_without_labels(ready: Ready) -> None:
    made = ready("textbook-python").release
    card = made.files["README.md"].decode()
    assert "The rows have no labels." in card
    assert "task_categories: [text-generation]" in card
    assert not any(path.startswith("superglue/") for path in made.files)
    assert all(split["labels"] == {} for split in made.manifest["splits"].values())


def test_hugging_face_and_polars_read_the_folder(ready: Ready, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="the extra huggingface is not installed")
    release = ready("rte").release
    for path, content in release.files.items():
        (tmp_path / "release" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "release" / path).write_bytes(content)
    loaded = datasets.load_dataset(str(tmp_path / "release"), cache_dir=str(tmp_path / "cache"))
    expected = parts(release)
    assert set(loaded) == set(expected)
    for name, part in expected.items():
        ids = {label: number for number, label in enumerate(real_task("rte").labels)}
        names = ("label", "intended_label", "annotated_label", "corrected_label")
        numbered = part.with_columns(pl.col(n).replace_strict(ids, default=None) for n in names)
        assert loaded[name].to_list() == numbered.to_dicts()
    assert pl.read_parquet(tmp_path / "release" / "data" / "*.parquet").height == ROWS
