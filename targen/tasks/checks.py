"""Checks across the keys of a task: names that must exist, and keys that require each other."""

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from targen.steps import (
    CONFUSABLE,
    CONTEXTS,
    INSTANCES,
    LABEL,
    RECIPE_STEP,
    RESERVED,
    SEEDS,
    STEPS,
    VOCABULARIES,
    schema,
)
from targen.tasks.answers import ONE_LABEL
from targen.tasks.endpoints import load_endpoints, unknown
from targen.tasks.entities import located, parts
from targen.tasks.field_values import declaration_problems, misfit
from targen.tasks.plugin_kinds import no_such
from targen.tasks.recipe import READERS, Recipe
from targen.tasks.registry import metrics, resolve
from targen.tasks.sections import ENGLISH, LANGUAGES
from targen.tasks.spec import TaskSpec
from targen.tasks.validators import VALIDATORS
from targen.tasks.yamlfile import Loc, YamlFile, nearest
from targen.wording import plural

SAMPLING: Final = ("label_constrained", "select_by_logprob", "compose", "contrast")
"""Operators of instances that draw the fields with a sampler."""

WITH_SPANS: Final = ("label_constrained", "select_by_logprob")
"""Operators of instances that can write texts with entities."""

_NEEDS_A_DATABASE: Final = frozenset({"expect_query_results_to_match_comparison"})


def problems(spec: TaskSpec, file: YamlFile) -> list[str]:
    """Return the problems of a task, one line each."""
    return [f"{file.where(loc)}: {text}" for loc, text in _cross_checks(spec)]


def unknown_endpoints(recipe: Recipe, file: YamlFile, endpoints_file: Path) -> list[str]:
    """Return the steps that name an undefined endpoint, one line each.

    Raises:
        SpecError: the file of endpoints is wrong, and a step names an endpoint.
    """
    if not recipe.named_endpoints:
        return []
    known = load_endpoints(endpoints_file)
    named: list[tuple[Loc, str | None]] = [
        (("steps", RECIPE_STEP[step], "endpoint"), name) for step, name in recipe.endpoints.items()
    ]
    for step, key in RECIPE_STEP.items():
        for index, name in enumerate(recipe.reader_endpoints(step)):
            named.append((("steps", key, READERS, index, "endpoint"), name))
    return [
        f"{file.where(loc)}: {unknown(name, known, endpoints_file)}"
        for loc, name in named
        if name is not None and name not in known
    ]


def _cross_checks(spec: TaskSpec) -> list[tuple[Loc, str]]:
    found = [*_check_fields(spec), *_check_answer(spec), *_check_validators(spec)]
    found += check_examples(spec)
    found += _check_imports(spec)
    found += _check_gates(spec)
    found += _check_plugins(spec)
    found += _check_expectations(spec)
    if spec.language not in LANGUAGES:
        found.append((("language",), f"unknown language; {nearest(spec.language, LANGUAGES)}"))
    if spec.seeds is not None and not spec.seeds.fields:
        found.append(((SEEDS, "fields"), "a seed needs at least one field"))
    for name, vocabulary in spec.vocabularies.items():
        if vocabulary.terms and vocabulary.file:
            found.append((("vocabularies", name), "give terms or a file, not both"))
        if name in (LABEL, CONFUSABLE):
            found.append(((VOCABULARIES, name), "this name is reserved; choose another"))
        if vocabulary.requirement and vocabulary.requirement.count("{}") != 1:
            found.append((("vocabularies", name, "requirement"), "it needs `{}` exactly once"))
    if LABEL in spec.contexts.attributes:
        loc: Loc = ("contexts", "attributes", LABEL)
        found.append((loc, "this name is reserved; choose another"))
    if spec.twin:
        if spec.language != ENGLISH:
            found.append((("twin", "swap"), "swapping the gender is supported for English only"))
        for name in spec.twin.fields:
            found += _unknown_field(spec, name, ("twin", "fields"))
        found += _unknown_field(spec, spec.twin.id_field, ("twin", "id_field"))
    return found


def _check_imports(spec: TaskSpec) -> list[tuple[Loc, str]]:
    """Check the mappings of columns and labels of imported files."""
    found: list[tuple[Loc, str]] = []
    parts: list[tuple[Loc, dict[str, str], dict[str, str]]] = [((), spec.columns, {})]
    if spec.reference is not None:
        parts.append((("reference",), spec.reference.columns, spec.reference.labels))
    texts = spec.unlabeled
    if texts is not None:
        parts.append((("unlabeled",), texts.columns, {}))
        if texts.file is None and texts.hf is None:
            found.append((("unlabeled",), "it needs a `file` or `hf`"))
        if texts.labels:
            found.append((("unlabeled", "labels"), "unlabeled texts have no labels; leave it out"))
    for name, rows in spec.elsewhere.items():
        parts.append((("elsewhere", name), rows.columns, rows.labels))
        if rows.file is None and rows.hf is None:
            found.append((("elsewhere", name), "it needs a `file` or `hf`"))
    fields = [*spec.fields, "label"]
    for loc, columns, labels in parts:
        for column, field in columns.items():
            if field not in fields:
                text = f"no field '{field}'; {nearest(field, fields)}"
                found.append(((*loc, "columns", column), text))
        for label, own in labels.items():
            if spec.labels and own not in spec.labels:
                text = f"no label '{own}'; {nearest(own, spec.labels)}"
                found.append(((*loc, "labels", label), text))
    return found


def _check_fields(spec: TaskSpec) -> list[tuple[Loc, str]]:
    found: list[tuple[Loc, str]] = []
    for name, field in spec.fields.items():
        loc: Loc = ("fields", name)
        if name in RESERVED:
            found.append((loc, "a table has a column of this name; choose another"))
        if not name.isidentifier():
            found.append(
                (loc, "the name of a field must consist of letters, digits and underscores")
            )
        if field.type == "choice" and not field.values:
            found.append((loc, "a choice needs `values`"))
        if field.planned and field.type != "choice":
            found.append((loc, "only a field of type choice can be planned"))
        found += [((*loc, *k.split(".")), text) for k, text in declaration_problems(field)]
        seeded = spec.seeds is not None and name in spec.seeds.fields
        if seeded and (field.sampler is not None or field.type in ("float", "boolean", "date")):
            text = "a seed has a field of this name, which would set it: rename one of the two"
            found.append((loc, text))
    return found


def _check_answer(spec: TaskSpec) -> list[tuple[Loc, str]]:
    answer = spec.answer
    loc: Loc = ("answer", "labels")
    found: list[tuple[Loc, str]] = []
    if answer.kind in (*ONE_LABEL, "multi") and len(answer.labels) < 2:
        found.append((loc, f"an answer of kind '{answer.kind}' needs at least two labels"))
    if answer.kind in ("span", "none") and answer.labels:
        found.append((loc, f"an answer of kind '{answer.kind}' has no labels"))
    found += _check_entities(spec)
    if answer.at_least > answer.at_most:
        found.append((("answer", "at_least"), "it is greater than `at_most`"))
    if answer.choices is not None:
        found += _unknown_field(spec, answer.choices, ("answer", "choices"))
    if answer.kind == "span" and answer.choices is None:
        found.append((("answer",), "a span needs `choices`: the field to choose from"))
    for name in answer.options:
        found += _unknown_field(spec, name, ("answer", "options"))
    numbers = [str(i) for i in range(len(answer.options))]
    if numbers and list(answer.labels) != numbers:
        wanted = ", ".join(f'"{number}"' for number in numbers)
        found.append((("answer", "options"), f"the labels must number them: {wanted}"))
    return found


def _check_entities(spec: TaskSpec) -> list[tuple[Loc, str]]:
    answer = spec.answer
    if answer.kind != "spans":
        hint = "only an answer of kind 'spans' has a `text`"
        return [] if answer.text is None else [(("answer", "text"), hint)]
    found: list[tuple[Loc, str]] = []
    if not answer.labels:
        found.append((("answer", "labels"), "an answer of kind 'spans' needs types of entities"))
    for name in answer.labels:
        if ":" in name or not name.strip():
            hint = "the name of a type must not be empty and must not contain a colon"
            found.append((("answer", "labels", name), hint))
    if answer.text is None:
        found.append((("answer",), "spans need `text`: the field in which the entities are"))
    elif answer.text not in spec.fields:
        found += _unknown_field(spec, answer.text, ("answer", "text"))
    elif spec.fields[answer.text].type != "text" or spec.fields[answer.text].derived:
        found.append((("answer", "text"), "entities are found in a field of type text only"))
    return found


def recipe_needs(spec: TaskSpec, recipe: Recipe, file: YamlFile) -> list[str]:
    """Return what the recipe's operators need and the task lacks, one line each."""
    where, found = file.where(("recipe",)), []
    chosen = {step: resolve(recipe.choice(step), step)[0] for step in RECIPE_STEP}
    for step, operator in chosen.items():
        if operator.needs_labels and spec.answer.kind == "none":
            found.append(
                f"{file.where(('answer', 'kind'))}: the recipe '{recipe.name}' uses "
                f"'{operator.name}' for {RECIPE_STEP[step]}, which needs labels; this task has none"
            )
    vocabularies, seeds, instances = (chosen[s].name for s in (VOCABULARIES, SEEDS, INSTANCES))
    _, params = resolve(recipe.choice(VOCABULARIES), VOCABULARIES)
    unmet = [
        (
            seeds in ("llm_per_context", "expand") and spec.seeds is None,
            "generates seeds: add a section `seeds` to the task",
        ),
        (
            seeds == "examples" and not (spec.examples or spec.examples_file),
            "needs human-made examples: give `examples`",
        ),
        (
            seeds == "file" and (spec.seeds is None or spec.seeds.file is None),
            "reads seeds from a file: name it in `seeds.file`",
        ),
        (
            instances == "file" and spec.rows_file is None,
            "labels rows of a file: name it in `rows_file`",
        ),
        (
            spec.answer.kind == "spans" and instances not in (*WITH_SPANS, "file"),
            f"uses '{instances}' for instances, which writes no entities; set `steps: {{instances: "
            "{operator: label_constrained}}`",
        ),
        (
            bool(spec.sampled) and instances not in SAMPLING,
            f"uses '{instances}' for instances, which draws no fields: remove `sampler`, or set "
            "`steps: {instances: {operator: label_constrained}}`",
        ),
        (
            instances == "file" and spec.twin is not None,
            "reads rows from a file, which have no twins: remove `twin`",
        ),
        (
            vocabularies == "attribute_values"
            and not spec.vocabularies
            and not getattr(params, "dimensions", 0),
            "uses 'attribute_values', which needs `vocabularies` or a number of `dimensions`",
        ),
        (
            chosen[CONTEXTS].per_slot and vocabularies == "none",
            f"uses '{chosen[CONTEXTS].name}', which needs terms, but its `vocabularies` is none",
        ),
    ]
    if chosen[INSTANCES].contrast:
        _, writing = resolve(recipe.choice(INSTANCES), INSTANCES)
        unmet += _unmet_by_contrast(spec, writing.id_field, writing.edits)  # type: ignore[attr-defined]
    found += [f"{where}: the recipe '{recipe.name}' {text}" for applies, text in unmet if applies]
    return found


def _unmet_by_contrast(
    spec: TaskSpec, id_field: str, edits: Sequence[str]
) -> list[tuple[bool, str]]:
    """Return what contrast sets need, with whether the task lacks it."""
    field = spec.fields.get(id_field)
    numbered = field is not None and field.derived and field.type == "integer"
    unknown_fields = [name for name in edits if name not in spec.fields]
    hint = nearest(unknown_fields[0], spec.fields) if unknown_fields else ""
    return [
        (
            spec.answer.kind not in ONE_LABEL,
            "makes contrast sets, one row per label: it needs an answer of kind class",
        ),
        (spec.twin is not None, "makes contrast sets, which have no twins: remove `twin`"),
        (
            not numbered,
            f"numbers its contrast sets in the field '{id_field}': add `{id_field}: {{description: "
            "number of the contrast set, type: integer, derived: true}` to `fields`",
        ),
        (
            bool(unknown_fields),
            f"may edit the field '{(unknown_fields or [''])[0]}', which the task does not have; "
            f"{hint}",
        ),
        (
            spec.rows < len(spec.labels),
            f"makes sets of {len(spec.labels)} rows, one per label: `rows` must be at least "
            f"{len(spec.labels)}",
        ),
    ]


LONG_TEXT: Final = 100_000
"""Characters from which on a text of the user's own rows is unlikely to be meant: about 25,000
tokens in each call about its row."""


def long_rows_warnings(spec: TaskSpec) -> list[str]:
    """Return which of the user's own rows have a very long text, as one sentence if there are any.

    A missing quotation mark can turn the rest of a file into one cell.
    """
    sizes = [
        (len(text), number, name)
        for number, row in enumerate(spec.given_rows, 1)
        for name, text in row.items()
        if isinstance(text, str) and len(text) >= LONG_TEXT
    ]
    if not sizes:
        return []
    size, number, name = max(sizes)
    rows = len({number for _, number, _ in sizes})
    return [
        f"{plural(rows, 'row')} of {spec.rows_file} {'has' if rows == 1 else 'have'} a text of "
        f"{LONG_TEXT:,} characters or more: row {number} has {size:,} in '{name}'. Every call "
        "about a row sends all of it; check the file's quotation marks"
    ]


def seed_warnings(spec: TaskSpec) -> list[str]:
    """Return where a seed fixes what decides the label, one sentence each.

    Seeds are written before the label is drawn. If the seed fixes a field that decides the label,
    some labels cannot be reached, and a model writes wrong rows for them. This is judged by names:
    the constraint of a label must name a field that is still to be written, and must not demand
    anything of one that the seed fixes.
    """
    unused = spec.recipe.choice(SEEDS).operator in ("none", "examples")
    if spec.answer.kind not in ONE_LABEL or unused or not spec.seed_fields:
        return []
    fixed = spec.seed_fields
    written = [
        name
        for name, field in spec.fields.items()
        if name not in fixed and not field.derived and not field.planned
    ]
    if not written:
        return [
            f"seeds.fields has every field of the task ({', '.join(fixed)}), so that the seed "
            "decides the label; leave a field for the step `instances` to write"
        ]
    found = []
    for label, one in spec.labels.items():
        said = one.constraint
        demanded = next((name for name in fixed if _named(rf"{re.escape(name)} must", said)), None)
        if demanded is not None:
            found.append(
                f"the constraint of '{label}' demands something of `{demanded}`, which the seed "
                "fixes before the label is drawn; demand it of the fields written later "
                f"({', '.join(written)}), or take `{demanded}` out of `seeds.fields`"
            )
        elif not any(_named(re.escape(name), said) for name in written):
            found.append(
                f"the seed fixes {', '.join(f'`{name}`' for name in fixed)}, and the constraint of "
                f"'{label}' names no field that is left to write; say what "
                f"{' or '.join(f'`{name}`' for name in written)} must be like"
            )
    return found


def _named(pattern: str, text: str) -> bool:
    return re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE) is not None


def check_examples(spec: TaskSpec) -> list[tuple[Loc, str]]:
    """Return the problems of the examples as (key, message)."""
    found: list[tuple[Loc, str]] = []
    needed = set(spec.shown_fields)
    for index, example in enumerate(spec.examples):
        loc: Loc = ("examples", index)
        for name in sorted(example.fields.keys() - needed):
            found.append(((*loc, "fields", name), f"unknown field; {nearest(name, needed)}"))
        for name in sorted(needed - example.fields.keys()):
            found.append((loc, f"the example lacks the field '{name}'"))
        problem = misfit(dict(example.fields), spec.fields)
        if problem is not None:
            found.append(((*loc, "fields"), problem))
        named = example.label if isinstance(example.label, list) else [example.label]
        if spec.answer.kind == "spans":
            text = str(example.fields.get(spec.answer.text or "", ""))
            unknown = [one for one in named if one and parts(one)[0] not in spec.labels]
            problem = located(text, [one for one in named if one])[1]
            if unknown:
                hint = nearest(parts(unknown[0])[0], spec.labels)
                found.append(((*loc, "label"), f"write `type: text`, with a type; {hint}"))
            elif problem is not None:
                found.append(((*loc, "label"), problem))
        elif spec.labels and any(label not in spec.labels for label in named):
            found.append((loc, f"no label '{example.label}'; {nearest(named[0], spec.labels)}"))
        if spec.answer.kind == "span":
            options = example.fields.get(spec.answer.choices or "") or []
            if example.label not in options:
                hint = f"its label must be one of its {spec.answer.choices}"
                found.append(((*loc, "label"), hint))
    return found


def _check_validators(spec: TaskSpec) -> list[tuple[Loc, str]]:
    found: list[tuple[Loc, str]] = []
    types = dict.fromkeys(spec.contexts.attributes, "text")
    if spec.seeds is not None:
        types |= dict.fromkeys(spec.seeds.types, "text")
        types |= {part: one.type for part, one in spec.seeds.fields.items()}
    types |= {name: one.type for name, one in spec.fields.items()}
    validators = {**VALIDATORS, **spec.plugin_set.validators}
    for index, entry in enumerate(spec.validators):
        for name, roles in entry.items():
            loc: Loc = ("validators", index, name)
            known = validators.get(name)
            if known is None:
                found.append((loc, f"unknown validator; {nearest(name, validators)}"))
                continue
            for role in sorted(known.roles.keys() - roles.keys()):
                found.append((loc, f"'{name}' needs `{role}`"))
            for role, field in roles.items():
                if role not in known.roles:
                    hint = nearest(role, known.roles)
                    found.append(((*loc, role), f"'{name}' has no role of this name; {hint}"))
                elif role in known.literals:
                    if field not in spec.labels:
                        hint = nearest(field, spec.labels)
                        found.append(((*loc, role), f"no label '{field}'; {hint}"))
                elif field not in types:
                    found += _unknown_field(spec, field, (*loc, role))
                elif types[field] not in (allowed := known.types.get(role, (types[field],))):
                    hint = f"must be of type {' or '.join(allowed)}; '{field}' is {types[field]}"
                    found.append(((*loc, role), f"the field of this role {hint}"))
            named = [field for role, field in roles.items() if role not in known.literals]
            if known.code is None and len(set(named)) < len(named):
                found.append((loc, "two roles name the same field"))
    return found


def _check_gates(spec: TaskSpec) -> list[tuple[Loc, str]]:
    found: list[tuple[Loc, str]] = []
    known = {**metrics(), **spec.plugin_set.metrics}
    for index, gate in enumerate(spec.gates):
        loc: Loc = ("gates", index)
        metric = known.get(gate.metric)
        if metric is None:
            hint = nearest(gate.metric, known)
            found.append(((*loc, "metric"), f"unknown metric '{gate.metric}'; {hint}"))
        if gate.at_least is None and gate.at_most is None:
            found.append((loc, "a gate needs a bound: `at_least`, `at_most` or both"))
        elif None not in (gate.at_least, gate.at_most) and gate.at_least > gate.at_most:  # type: ignore[operator]
            found.append(((*loc, "at_least"), "it is greater than `at_most`, so no value can pass"))
        for bound in ("at_least", "at_most"):
            value = getattr(gate, bound)
            if metric is not None and metric.share and value is not None and not 0 <= value <= 1:
                hint = (
                    f"'{gate.metric}' is a share from 0 to 1: write 0.1 for 10% (found {value:g})"
                )
                found.append(((*loc, bound), hint))
    return found


def _check_plugins(spec: TaskSpec) -> list[tuple[Loc, str]]:
    """Check the names of guards and metrics that the task takes from plug-ins."""
    known, named = spec.plugin_set, spec.plugins
    return [
        *((("plugins", "guards", index), no_such("guard", name, known.guards))
          for index, name in enumerate(named.guards) if name not in known.guards),
        *((("plugins", "metrics", index), no_such("metric", name, known.metrics))
          for index, name in enumerate(named.metrics) if name not in known.metrics),
    ]  # fmt: skip


_COLUMN_KEYS = ("column", "column_A", "column_B", "column_list", "column_set")


def _check_expectations(spec: TaskSpec) -> list[tuple[Loc, str]]:
    """Check the names in expectations; the library checks the arguments when it runs them."""
    found: list[tuple[Loc, str]] = []
    for table, wanted in spec.expectations.items():
        loc: Loc = ("expectations", table)
        if table not in STEPS:
            found.append((loc, f"unknown table; {nearest(table, STEPS)}"))
            continue
        columns = schema(table, spec.field_types, spec.answer.kind)
        known = shipped()
        for index, one in enumerate(wanted):
            if known and one.type not in known:
                hint = f"unknown expectation '{one.type}'; {nearest(one.type, known)}"
                found.append(((*loc, index, "type"), hint))
            for key in _COLUMN_KEYS:
                given = one.kwargs.get(key)
                for name in given if isinstance(given, list) else [given]:
                    if isinstance(name, str) and name not in columns:
                        hint = f"{table} has no column '{name}'; {nearest(name, columns)}"
                        found.append(((*loc, index, "kwargs", key), hint))
            if isinstance(one.kwargs.get("row_condition"), str):
                hint = "write it as a Great Expectations mapping, not as code"
                found.append(((*loc, index, "kwargs", "row_condition"), hint))
    return found


def _unknown_field(spec: TaskSpec, name: str, loc: Loc) -> list[tuple[Loc, str]]:
    if name in spec.fields:
        return []
    return [(loc, f"the task has no field '{name}'; {nearest(name, spec.fields)}")]


@lru_cache(maxsize=1)
def shipped() -> frozenset[str]:
    """Return the names of Great Expectations' expectations for tables in memory.

    They are read from its file names, because importing it takes seconds. Empty if the package is
    not installed.
    """
    found = find_spec("great_expectations")
    folders = found.submodule_search_locations if found else None
    paths = [path for folder in folders or () for path in Path(folder).glob("expectations/core/*")]
    return frozenset(p.stem for p in paths if p.stem.startswith("expect_")) - _NEEDS_A_DATABASE
