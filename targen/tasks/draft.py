"""The file of a new task, with comments that explain each part."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from targen.errors import SpecError
from targen.files import write_file
from targen.settings import variable
from targen.steps import RESERVED
from targen.tasks.loading import load_recipes, load_task
from targen.tasks.sections import LANGUAGES
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import nearest

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = re.compile(r"(\d+)\s+words")

_TEMPLATE = """\
# {title}.
# `targen validate {name}` checks this file, `targen preview {name}` shows a few rows with their
# prompts, and `targen estimate {name}` says what a run would cost. docs/tasks.md explains all keys.
name: {name}
title: {title_text}
# What one row is. Every prompt contains it, the annotators' too, so it must not hint at a label.
description: {description}
# The method: a file in the recipes folder. `targen` makes contexts, then seeds, then a row for each
# seed and label. Up to two annotators label each row without seeing that label.
recipe: {recipe}
{language}rows: {rows}

# The texts of a row, one column each. The description tells the model what to write. Longer texts
# than `max_words` are rejected.
fields:
{fields}
answer:
  kind: class
  # The question that the annotators answer.
  question: {question}
  # `definition` says what a label means; only the annotators' prompts contain it. `constraint` says
  # how to write a row with this label; only the writer's prompt contains it. Make it concrete, so
  # that no reader can doubt the label. `ways` lists different ways in which a row gets the label;
  # rows are spread evenly over them. Without ways, a model writes most rows in the same way. List
  # three to six for each label.
  labels:
{labels}
# The settings of the rows, which make them differ. `what` completes "a list of ...".
contexts:
  what: {contexts}

# What happens in a row, one seed for each. A seed must leave the label open.
seeds:
  kind: tuple
  what: {seed}
  fields:
    situation: {{description: "Say what happens, in 5 to 15 words, without a judgment."}}

# Bounds that the report checks. `error` blocks a release; `warn` only warns.
gates:
  - {{metric: exact_duplicates, at_most: 0}}
  - {{metric: label_noise, at_most: 0.1, severity: warn}}
  - {{metric: shortcut, slice: length only, at_most: 0.15, severity: warn}}
"""

_LABEL = """\
    {name}:
      definition: {meaning}
      constraint: {constraint}
      # ways:
      #   - one way, in a few words
"""


@dataclass(frozen=True)
class Draft:
    """What a new task's file is made from.

    Attributes:
        name, title, description: as in `TaskSpec`.
        fields: field -> what to write.
        question: about a row.
        labels: label -> what it means.
        contexts: completes "a list of ...".
        rows, recipe, language: as in `TaskSpec`.
    """

    name: str
    title: str
    description: str
    fields: Mapping[str, str]
    question: str
    labels: Mapping[str, str]
    contexts: str
    rows: int
    recipe: str
    language: str

    def problems(self) -> list[str]:
        """Return the problems of the fields, labels and language, one sentence each."""
        found = []
        for name in self.fields:
            if not _FIELD.fullmatch(name):
                found.append(
                    f"the field {name!r} must be letters, digits and _, with no digit first"
                )
            elif name in RESERVED:
                found.append(f"the field {name!r} has the name of a column; choose another one")
        if len(self.labels) < 2:
            found.append(f"two or more labels are needed, not {len(self.labels)}")
        if self.language not in LANGUAGES:
            found.append(f"unknown language {self.language!r}; {nearest(self.language, LANGUAGES)}")
        return found

    def text(self) -> str:
        """Return the file."""
        return _TEMPLATE.format(
            name=self.name,
            title=_line(self.title),
            title_text=_quoted(self.title),
            description=_quoted(self.description),
            recipe=self.recipe,
            language="" if self.language == "en" else f"language: {self.language}\n",
            rows=self.rows,
            fields="".join(
                f"  {name}: {{description: {_quoted(words)}, max_words: {_most(words)}}}\n"
                for name, words in self.fields.items()
            ),
            question=_quoted(self.question),
            labels="".join(
                _LABEL.format(
                    name=_quoted(name),
                    meaning=_quoted(meaning),
                    constraint=_quoted(
                        f"What happens in the text makes this clear beyond doubt: {meaning}"
                    ),
                )
                for name, meaning in self.labels.items()
            ),
            contexts=_quoted(self.contexts),
            seed=_quoted(
                "One case in this context that a row can describe. It leaves every answer possible."
            ),
        )


def write(draft: Draft, path: Path, recipes_dir: Path, *, replace: bool = False) -> TaskSpec:
    """Write the file of a new task, and return the task that it defines.

    Nothing is written if the task would be invalid.

    Raises:
        SpecError: the draft or the recipe does not fit.
        TableError: the file exists, or cannot be written.
    """
    problems = draft.problems()
    known = load_recipes(recipes_dir)
    if draft.recipe not in known:
        problems.append(f"unknown recipe {draft.recipe!r}; {nearest(draft.recipe, known)}")
    if problems:
        raise SpecError("\n".join(problems))
    before = path.read_bytes() if path.exists() else None
    write_file(path, draft.text().encode(), variable("tasks_dir"), private=False, replace=replace)
    try:
        return load_task(draft.name, path.parent, recipes_dir)
    except SpecError:
        if before is None:
            path.unlink()
        else:
            write_file(path, before, variable("tasks_dir"), private=False)
        raise


def _most(words: str) -> int:
    """Return a bound: one and a half times the number of words that a description names, or 120."""
    named = _WORDS.findall(words)
    return max(map(int, named)) * 3 // 2 if named else 120


def _line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    """Return a text in quotes, as one line of YAML."""
    return json.dumps(_line(text), ensure_ascii=False)
