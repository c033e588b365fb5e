"""Files that a task author did not mean well: one error each, within bounds of time and memory."""

import gzip
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targen import reading
from targen.errors import SpecError, TableError, TargenError
from targen.llm import prices
from targen.settings import Settings
from targen.tasks import file_content, files
from targen.tasks.loading import load_task, load_task_names
from targen.tasks.yamlfile import YamlFile
from tests.support.specs import RECIPES

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
WRONG = {
    "aliases": (BOMB, "with its aliases it has more than 200,000 values"),
    "merged": (BOMB + "z:\n  <<: {q: *i}\n", "more than 200,000 values"),
    "merged often": ("a: &a {x: 1}\nb:\n" + "- <<: *a\n" * 5000, ""),
    "merged keys": (
        "a: &a\n" + "".join(f"  k{n}: 1\n" for n in range(2000)) + "b:\n" + "- <<: *a\n" * 2000,
        "more than 200,000 values",
    ),
    "merged list": (
        "a: &a\n" + "".join(f"  k{n}: 1\n" for n in range(999)) + f"b: {{<<: [{'*a,' * 9999}]}}",
        "more than 200,000 values",
    ),
    "circle": ("a: &a [*a]\n", ""),
    "circle of keys": ("a: &a\n  b: *a\n", ""),
    "brackets": ("a: " + "[" * 3000 + "]" * 3000, "nested more than 40 deep"),
    "braces": ("a: " + "{a: " * 60 + "1" + "}" * 60, "nested more than 40 deep"),
    "lists": ("- " * 3000 + "a", "nested more than 40 deep"),
    "digits": ("rows: " + "9" * 5000, "cannot be read as YAML"),
    "many brackets": ("a: " + "[" * 400_000, "nested more than 40 deep"),
    "aliases of lists": ("a: [" + "&a " * 1000 + "]", "not valid YAML"),
    "size": ("a: " + "x" * 1_000_001, "more than 1,000,000"),
    "date": ("a: 2026-99-99", "cannot be read as YAML"),
    "keys": ("? {a: 1}\n: 2\n", ""),
    "tags": ("a: !!python/object/apply:os.system [id]\n", ""),
    "binary": ("a: !!binary '%%%'\n", ""),
    "null": ("\x00", "cannot be read as YAML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bomb_is_one_error(tmp_path: Path, name: str) -> None:
    text, message = WRONG[name]
    path = tmp_path / "a.yaml"
    path.write_text(text)
    started = time.monotonic()
    try:
        YamlFile(path)
    except SpecError as error:
        assert message in str(error), str(error)
        assert str(error).startswith(f"{path}") and len(str(error)) < 400
    else:
        # What the library makes of it is harmless.
        assert not message
    # Quiet machines need less than two.
    assert time.monotonic() - started < 20


def test_aliases_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a [1, 2]\nb: *a\nc: {<<: {d: *a}}\n")
    data = YamlFile(tmp_path / "a.yaml").data
    assert data == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


@settings(max_examples=150, deadline=5000)
@given(st.text(st.sampled_from("ab1: -\n[]{}&*!|>?,#'\"%@`\t<~\\.\x00é\u2028"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        YamlFile(Path("x.yaml"), text)
    except SpecError as error:
        assert "x.yaml" in str(error)


def test_one_broken_task_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("name: good\n")
    for name in ("aliases", "brackets", "circle", "digits", "null"):
        (tmp_path / f"{name}.yaml").write_text(WRONG[name][0])
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder.yaml").mkdir()
    assert "good" in load_task_names(tmp_path)
    for name, message in (("pipe", "pipe, socket or device"), ("zero", "pipe, socket or device")):
        with pytest.raises(SpecError, match=message):
            load_task(name, tmp_path, RECIPES)


@pytest.mark.parametrize("name", ["../private/s", "a/b", "..", "*", "A", "a" * 64])
def test_a_name_that_is_no_name_cannot_be_extended(tmp_path: Path, name: str) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "private/s.jsonl").write_text("{}\n")
    (tmp_path / "tasks/base.yaml").write_text(f"name: '{name}'\n")
    (tmp_path / "tasks/child.yaml").write_text(f"name: child\nextends: '{name}'\n")
    assert name not in load_task_names(tmp_path / "tasks")
    with pytest.raises(SpecError, match="extends: no task"):
        load_task("child", tmp_path / "tasks", RECIPES, None, tmp_path / "tasks")
    with pytest.raises(SpecError, match="lower-case letters"):
        load_task("base", tmp_path / "tasks", RECIPES)


@pytest.mark.parametrize(
    "name",
    ["../x.csv", "/etc/passwd", "link.csv", "a\x00.csv", "x" * 5000, "circle.csv", "d/../.."],
)
def test_a_file_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (tmp_path / "x.csv").write_text("a\n")
    (folder / "link.csv").symlink_to(tmp_path / "x.csv")
    (folder / "circle.csv").symlink_to("circle.csv")
    file = YamlFile(folder / "t.yaml", "rows_file: x\n")
    with pytest.raises(SpecError, match="leaves the folder of the tasks|is not a file name"):
        files._named_file(file, ("rows_file",), name)


def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero"), Path("/dev/stdin")):
        with pytest.raises(OSError, match=r"pipe, socket or device|No such"):
            file_content.content(path)
    with pytest.raises(IsADirectoryError):
        file_content.content(tmp_path)


def test_a_compressed_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reading, file_content):
        monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x" * 10_001))
    with pytest.raises(OSError, match="more than 10,000 bytes"):
        file_content.content(tmp_path / "a.csv.gz")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"x" * 10_000))
    assert len(file_content.content(tmp_path / "b.csv.gz")) == 10_000


def test_a_price_file_that_is_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "prices.yaml")
    monkeypatch.setenv(prices.VARIABLE, str(tmp_path / "prices.yaml"))
    with pytest.raises(SpecError, match="pipe, socket or device"):
        prices.price_of("m", "e")


@pytest.mark.parametrize("name", ["TARGEN_ROWS", "TARGEN_CONCURRENCY", "TARGEN_RPM"])
def test_a_number_of_many_digits(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "9" * 5000)
    with pytest.raises(TargenError, match=f"{name} must be a whole number") as told:
        Settings.from_environment()
    assert len(str(told.value)) < 200


def test_a_number_of_many_digits_in_rows(tmp_path: Path) -> None:
    from targen.tasks import import_files

    for name, text in {
        "a.jsonl": '{"x": %s}\n',
        "b.json": '[{"x": %s}]',
        "c.csv": "x\n%s\n",
    }.items():
        path = tmp_path / name
        path.write_text(text % ("9" * 5000))
        found: Any = None
        try:
            found = import_files.read(path)
        except TableError as error:
            assert str(path) in str(error) and len(str(error)) < 400
        assert found is None or len(found.places) == 1
