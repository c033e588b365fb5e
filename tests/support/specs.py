"""Tasks and recipes for tests: a small task as text, and the real ones of the repository."""

from functools import cache
from pathlib import Path

import pytest

from targen.tasks.loading import load_task, load_tasks
from targen.tasks.spec import TaskSpec

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "tasks"
RECIPES = ROOT / "recipes"

MOOD = """\
name: mood
title: Mood
description: A short note and the mood of the person who wrote it.
rows: 8
fields:
  note: {description: the note}
answer:
  kind: class
  question: What mood is the writer in?
  labels:
    glad: {constraint: The writer is glad., definition: A glad writer.}
    sad: {constraint: The writer is sad., definition: A sad writer.}
contexts:
  what: places
seeds:
  kind: sentence
  what: An event at the place.
  fields:
    event: {description: the event}
steps:
  contexts: {count: 2}
  seeds: {page: 3}
  instances: {per_call: 2}
"""


def write_task(folder: Path, text: str = MOOD, name: str = "mood") -> Path:
    """Write a task file into `folder` and return the folder."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def use_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str = MOOD) -> None:
    """Set the variables of a project in a folder with one task, on the simulator."""
    monkeypatch.setenv("TARGEN_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(write_task(folder / "tasks", text)))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    for name in ("TARGEN_STORE_URL", "TARGEN_MODEL", "TARGEN_ROWS", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def spec_of(folder: Path, text: str = MOOD, rows: int | None = None) -> TaskSpec:
    """Return the one task that `text` describes, with the repository's recipes."""
    (spec,) = load_tasks(write_task(folder, text), RECIPES, rows).values()
    return spec


@cache
def real_task(name: str, rows: int | None = None) -> TaskSpec:
    """Return one of the repository's tasks."""
    return load_task(name, TASKS, RECIPES, rows)
