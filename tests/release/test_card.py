"""Texts in the card: shown, and nothing else."""

from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML

from targen.release import card
from tests.support.specs import real_task


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("[a](http://x) `c` | d", r"\[a\](http://x) \`c\` \| d"),
        ("a\nb\x00\u202ec", "a b c"),
        ("---", "---"),
    ],
)
def test_a_text_cannot_leave_its_line_or_make_markup(text: str, shown: str) -> None:
    assert card.plain(text) == shown


@pytest.mark.parametrize(
    "title", ['a "quoted": # title', "x\n---\ny", "caf\xe9 \U0001f600", "\x7f{}"]
)
def test_a_title_stays_one_text_in_the_header(title: str) -> None:
    read = YAML(typ="safe").load(f"pretty_name: {card._quoted(title)}")
    assert list(read) == ["pretty_name"] and isinstance(read["pretty_name"], str)
    assert "\n" not in read["pretty_name"]


@pytest.mark.parametrize(
    ("task", "category"),
    [
        ("copa", "multiple-choice"),
        ("record", "question-answering"),
        ("stories", "text-classification"),
        ("instructions", "text-generation"),
        ("boolq", "text-classification"),
    ],
)
def test_tasks_are_sorted_as_the_hub_sorts_them(task: str, category: str) -> None:
    assert card.task_category(real_task(task)) == category


@pytest.mark.parametrize("task", ["rte", "stories-annotated", "record"])
def test_load_dataset_gives_names_and_ids_of_labels(ready, task: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra datasets is not installed")
    made = ready(task)
    for path, content in made.release.files.items():
        (tmp_path / "release" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "release" / path).write_bytes(content)
    read = datasets.load_dataset(str(tmp_path / "release"), cache_dir=str(tmp_path / "cache"))
    stored = pl.read_parquet(tmp_path / "release/data/train.parquet")
    assert read["train"].column_names == stored.columns
    feature = read["train"].features["label"]
    if not made.spec.labels:
        assert list(read["train"]["label"]) == stored["label"].to_list()
        return
    several = made.spec.answer.kind == "multi"
    names = (feature.feature if several else feature).names
    assert names == list(made.spec.labels)
    ids = read["train"]["label"]
    named = [[names[i] for i in row] if several else names[row] for row in ids]
    assert named == stored["label"].to_list()
    assert read["train"]["corrected_label"].count(None) == stored["corrected_label"].null_count()
