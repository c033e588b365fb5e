"""Every operator reads only those parts of a task that its step's digest covers.

A part that an operator reads outside the digest can change without the sensor for stale partitions
noticing it.
"""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import simulator
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import run_step, step_digest
from targen.operators.base import StepInput
from targen.steps import READ_BY_ALL, REGISTRY, UPSTREAM
from targen.tasks.registry import Operator, operators, resolve
from targen.tasks.spec import TaskSpec
from tests.support.recording import Read, recording, recording_task
from tests.support.specs import RECIPES, TASKS, real_task, spec_of

IDENTITY = {"name"}
"""A task with another name is another partition."""

LISTED = {"planned_labels", "requirement_words", "label_constraints", "label_definitions"}
"""Properties whose value is all that they read; other properties only count or choose."""


def covered(step: str, operator: Operator, spec: TaskSpec) -> set[str]:
    """Return the paths that a step's digest covers, a key of the task as a whole."""
    with recording() as reads:
        step_digest(step, spec)
    found = {*READ_BY_ALL, *REGISTRY[step].reads, *operator.reads, *IDENTITY}
    for read in reads:
        found.add(read.path)
        if read.path in LISTED:
            found |= leaves(read)
    return found


def leaves(read: Read) -> set[str]:
    return {read.path} if not read.through else set().union(*map(leaves, read.through))


def outside(reads: Iterable[Read], known: set[str]) -> set[str]:
    """Return the paths of `reads` that are not known; of a property, those that it read."""
    found = set()
    for read in reads:
        if known & set(prefixes(read.path)):
            continue
        found |= outside(read.through, known) if read.through else {read.path}
    return found


def prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
