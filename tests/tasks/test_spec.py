"""Tasks: what loads, and what every mistake in a file says."""

import shutil

import pytest

from targen.errors import SpecError
from targen.tasks.checks import seed_warnings
from targen.tasks.loading import load_task, load_task_names, load_tasks
from targen.tasks.spec import ROWS_AT_MOST
from tests.support.specs import MOOD, RECIPES, TASKS, spec_of, write_task


def test_the_nine_tasks_of_the_repository_load():
    tasks = load_tasks(TASKS, RECIPES)
    assert {"axg", "boolq", "cb", "copa", "record", "rte", "wic", "wsc"} < set(tasks)
    assert "ticket_urgency" in tasks
    assert load_task_names(TASKS) == sorted(tasks)


def test_every_label_has_a_definition_apart_from_its_constraint():
    for spec in load_tasks(TASKS, RECIPES).values():
        for label in spec.labels.values():
            assert label.definition and label.definition != label.constraint


def test_rows_can_be_overridden(tmp_path):
    assert spec_of(tmp_path).rows == 8
    assert spec_of(tmp_path, rows=3).rows == 3
    for rows in (0, ROWS_AT_MOST + 1):
        with pytest.raises(SpecError, match="a task has 1 to 10,000,000; check TARGEN_ROWS"):
            spec_of(tmp_path, rows=rows)


@pytest.mark.parametrize(
    ("rows", "labels", "expected"),
    [(100, 2, 113), (60, 2, 72), (100, 4, 124), (12, 4, 24), (1, 2, 2)],
)
def test_headroom_is_an_eighth_or_six_a_label(tmp_path, rows, labels, expected):
    more = "".join(f"    l{n}: {{constraint: c{n}}}\n" for n in range(labels - 2))
    spec = spec_of(tmp_path, MOOD.replace("contexts:\n  what", more + "contexts:\n  what"), rows)
    assert spec.wanted_instances == expected


def test_pairs_round_rows_down_and_instances_up(tmp_path):
    text = MOOD.replace("  note: {description: the note}", NUMBERED)
    text += "twin: {swap: gender, fields: [note], id_field: number}\n"
    spec = spec_of(tmp_path, text, rows=7)
    assert (spec.wanted_rows, spec.wanted_instances % 2, spec.unit) == (6, 0, 2)


NUMBERED = "  note: {description: the note}\n  number: {type: integer, derived: true}"

UNIQUE = "expect_column_values_to_be_unique"
EXPECTING = "rows: 8\nexpectations:\n  {}:\n    - type: {}\n      kwargs: {{{}}}"

MISTAKES = {
    "expectations on no table": (
        "rows: 8",
        EXPECTING.format("corrected", UNIQUE, "column: note"),
        ["mood.yaml:6: expectations.corrected", "did you mean 'corrected_set'?"],
    ),
    "an expectation that is not shipped": (
        "rows: 8",
        EXPECTING.format("corrected_set", "expect_column_values_to_be_uniqe", "column: note"),
        ["mood.yaml:7: expectations.corrected_set.0.type", f"did you mean '{UNIQUE}'?"],
    ),
    "an expectation on no column": (
        "rows: 8",
        EXPECTING.format("corrected_set", UNIQUE, "column: nte"),
        ["mood.yaml:8: expectations.corrected_set.0.kwargs.column", "did you mean 'note'?"],
    ),
    "a condition that is code": (
        "rows: 8",
        EXPECTING.format("corrected_set", UNIQUE, "column: note, row_condition: a"),
        ["mood.yaml:8:", "not as code"],
    ),
    "a gate on no metric": (
        "rows: 8",
        "rows: 8\ngates:\n  - {metric: label_nois, at_most: 0.1}",
        ["mood.yaml:6: gates.0.metric", "'label_nois'", "did you mean 'label_noise'?"],
    ),
    "a gate without a bound": (
        "rows: 8",
        "rows: 8\ngates:\n  - metric: label_noise\n    severity: warn",
        ["mood.yaml:6: gates.0", "`at_least`, `at_most` or both"],
    ),
    "a gate that nothing can pass": (
        "rows: 8",
        "rows: 8\ngates:\n  - {metric: kappa, at_least: 0.8, at_most: 0.6}",
        ["gates.0.at_least", "so no value can pass"],
    ),
    "a share in percent": (
        "rows: 8",
        "rows: 8\ngates:\n  - {metric: label_noise, at_most: 10}",
        ["gates.0.at_most", "write 0.1 for 10% (found 10)"],
    ),
    "a bound that is no number": (
        "rows: 8",
        "rows: 8\ngates:\n  - {metric: label_noise, at_most: 10%}",
        ["gates.0.at_most", "'10%'"],
    ),
    "a bound without end": (
        "rows: 8",
        "rows: 8\ngates:\n  - {metric: kappa, at_most: .inf}",
        ["gates.0.at_most", "finite"],
    ),
    "a severity that there is not": (
        "rows: 8",
        "rows: 8\ngates:\n  - {metric: kappa, at_least: 0, severity: eror}",
        ["gates.0.severity", "did you mean 'error'?"],
    ),
    "gates that are no list": (
        "rows: 8",
        "rows: 8\ngates: {label_noise: 0.1}",
        ["gates", "expected a list"],
    ),
    "a gate with an unknown key": (
        "rows: 8",
        "rows: 8\ngates:\n  - {metric: kappa, atleast: 0}",
        ["gates.0.atleast", "did you mean 'at_least'?"],
    ),
    "yaml that does not parse": ("title: Mood", "title: [Mood", ["mood.yaml:", "not valid YAML"]),
    "a name that is not allowed": (
        "name: mood",
        "name: Mood!",
        ["mood.yaml:1: name", "lower-case"],
    ),
    "rows below one": ("rows: 8", "rows: 0", ["mood.yaml:4: rows", "greater than or equal to 1"]),
    "rows that are text": ("rows: 8", "rows: many", ["mood.yaml:4: rows", "'many'"]),
    "an unknown key": ("rows: 8", "row: 8", ["mood.yaml:4: row", "did you mean 'rows'?"]),
    "a label that is not text": (
        "    glad: {c",
        "    true: {c",
        ["mood.yaml:11: answer.labels.True", "quote it: 'true'"],
    ),
    "a label that is a number": ("    glad: {c", "    0: {c", ["quote it: '0'"]),
    "a label without a constraint": (
        "{constraint: The writer is glad., definition: A glad writer.}",
        "{definition: A glad writer.}",
        ["mood.yaml:11: answer.labels.glad.constraint", "this required key is missing"],
    ),
    "no field": (
        "fields:\n  note: {description: the note}\nanswer",
        "fields: {}\nanswer",
        ["mood.yaml:5: fields: it is empty; 1 or more are required"],
    ),
    "an unknown field type": (
        "{description: the note}",
        "{description: the note, type: txt}",
        ["mood.yaml:6: fields.note.type", "did you mean 'text'?"],
    ),
    "a field named like a column": (
        "  note: {description: the note}",
        "  verdict: {description: the note}",
        ["mood.yaml:6: fields.verdict", "column of this name"],
    ),
    "an unknown recipe": (
        "rows: 8",
        "rows: 8\nrecipe: targan",
        ["mood.yaml:5: recipe", "unknown recipe 'targan'", "did you mean 'targen"],
    ),
    "an unknown operator": (
        "contexts: {count: 2}",
        "contexts: {operator: llm_lst}",
        ["steps.contexts.operator", "unknown operator 'llm_lst'", "did you mean 'llm_list'?"],
    ),
    "an unknown parameter": (
        "contexts: {count: 2}",
        "contexts: {cuont: 2}",
        ["mood.yaml:21: steps.contexts.cuont", "no such parameter", "did you mean 'count'?"],
    ),
    "a parameter out of range": (
        "instances: {per_call: 2}",
        "instances: {per_call: 0}",
        ["steps.instances.per_call", "greater than or equal to 1"],
    ),
    "a parameter said twice": (
        "contexts: {count: 2}",
        "contexts: {temperature: 0, extra: {temperature: 1}}",
        ["mood.yaml:21: steps.contexts.extra", "use the parameter `temperature` instead of `extra"],
    ),
    "a parameter by another name": (
        "contexts: {count: 2}",
        "contexts: {extra: {max_tokens: 9}}",
        [
            "steps.contexts.extra",
            "use the parameter `max_output_tokens` instead of `extra: max_tokens`",
        ],
    ),
    "a parameter that the engine sets": (
        "contexts: {count: 2}",
        "contexts: {extra: {n: 2}}",
        ["steps.contexts.extra", "the engine sets `n`; remove it from `extra`"],
    ),
    "an even number of votes": (
        "instances: {per_call: 2}",
        "labels: {votes: 2}",
        ["steps.labels.votes", "odd"],
    ),
    "an unknown validator": (
        "contexts:\n  what",
        "validators: [{difer: {a: note, b: note}}]\ncontexts:\n  what",
        ["mood.yaml:13: validators.0.difer", "unknown validator; did you mean 'differ'?"],
    ),
    "a validator for a field that does not exist": (
        "contexts:\n  what",
        "validators: [{differ: {a: note, b: nota}}]\ncontexts:\n  what",
        ["validators.0.differ.b", "no field 'nota'", "did you mean 'note'?"],
    ),
    "a validator without a role": (
        "contexts:\n  what",
        "validators: [{differ: {a: note}}]\ncontexts:\n  what",
        ["'differ' needs `b`"],
    ),
    "a validator of texts for a list": (
        "{description: the note}",
        "{description: the note, type: texts}\nvalidators: [{yes_no_question: {text: note}}]",
        ["validators.0.yes_no_question.text", "of type text or choice; 'note' is texts"],
    ),
    "a validator with one field for two roles": (
        "contexts:\n  what",
        "validators: [{differ: {a: note, b: note}}]\ncontexts:\n  what",
        ["validators.0.differ", "two roles name the same field"],
    ),
    "a validator that fills in a text": (
        "contexts:\n  what",
        "validators: [{token_span: {text: note, span: note, index: note}}]\ncontexts:\n  what",
        ["validators.0.token_span.index", "of type integer; 'note' is text"],
    ),
    "one label only": (
        "    sad: {constraint: The writer is sad., definition: A sad writer.}\n",
        "",
        ["answer.labels", "at least two labels"],
    ),
    "extends a task that is not there": (
        "rows: 8",
        "extends: moood",
        ["mood.yaml:4: extends", "no task 'moood'", "did you mean 'mood'?"],
    ),
    "extends a list": (
        "rows: 8",
        "extends: [mood]",
        ["mood.yaml:4: extends: give the name of one task"],
    ),
    "extends itself": ("rows: 8", "extends: mood", ["circular", "mood -> mood"]),
    "a vocabulary file outside the folder": (
        "rows: 8",
        "vocabularies: {a: {file: ../../etc/passwd}}",
        ["vocabularies.a.file", "leaves the folder"],
    ),
    "a vocabulary file that is not there": (
        "rows: 8",
        "vocabularies: {a: {file: words.txt}}",
        ["vocabularies.a.file", "'words.txt' cannot be read"],
    ),
    "a planned text": (
        "{description: the note}",
        "{description: the note, planned: true}",
        ["fields.note", "only a field of type choice can be planned"],
    ),
    "a choice without values": (
        "{description: the note}",
        "{description: the note, type: choice}",
        ["fields.note", "needs `values`"],
    ),
    "options that are no fields": (
        "kind: class",
        "kind: class\n  options: [nota]",
        ["answer.options", "no field 'nota'"],
    ),
    "options that the labels do not number": (
        "kind: class",
        "kind: class\n  options: [note]",
        ["answer.options", 'the labels must number them: "0"'],
    ),
    "shares that do not add up": (
        "rows: 8",
        "release: {splits: {train: 0.8, test: 0.1}}",
        ["mood.yaml:4: release", "must be above 0 and add up to 1"],
    ),
    "a share of nothing": (
        "rows: 8",
        "release: {splits: {train: 1.0, test: 0.0}}",
        ["mood.yaml:4: release", "must be above 0"],
    ),
    "an unknown split": (
        "rows: 8",
        "release: {splits: {trian: 1.0}}",
        ["release.splits", "did you mean 'train'?"],
    ),
    "a licence that is a sentence": (
        "rows: 8",
        "release: {license: Free for all}",
        ["release.license"],
    ),
    "seeds that the recipe needs": (
        MOOD[MOOD.index("seeds:\n  kind") : MOOD.index("steps:")],
        "",
        ["add a section `seeds` to the task"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_file_line_key_and_remedy(tmp_path, mistake):
    right, wrong, expected = MISTAKES[mistake]
    assert right in MOOD
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path / "tasks", MOOD.replace(right, wrong))
    for part in expected:
        assert part in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    text = MOOD.replace("rows: 8", "rows: 0").replace("title: Mood", "titel: Mood")
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 3


def test_two_tasks_of_one_name(tmp_path):
    write_task(tmp_path, MOOD, "a")
    write_task(tmp_path, MOOD, "b")
    with pytest.raises(SpecError, match=r"b\.yaml:1: name: a\.yaml already has a task named"):
        load_tasks(tmp_path, RECIPES)


@pytest.mark.parametrize("copy", ["a_copy", "my_mood"])
def test_a_copy_that_kept_the_name_is_the_one_to_blame(tmp_path, copy):
    """Whichever of the two comes first in the folder."""
    write_task(tmp_path, MOOD, "mood")
    write_task(tmp_path, MOOD, copy)
    with pytest.raises(SpecError) as caught:
        load_tasks(tmp_path, RECIPES)
    assert str(caught.value).endswith(
        f"{copy}.yaml:1: name: mood.yaml already has a task named 'mood'; give this one another "
        f"name, such as {copy}"
    )
    assert load_task("mood", tmp_path, RECIPES).source.name == "mood.yaml"
    with pytest.raises(SpecError, match="give this one another name"):
        load_task(copy, tmp_path, RECIPES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: other\n title: x\n", "other.yaml:2: not valid YAML: .* indentation"),
        ("name: other\n\ttitle: x\n", "other.yaml:2: not valid YAML: .*; use spaces, not tabs"),
        ("title: Other\n", "other.yaml: name: a task needs a `name`"),
    ],
)
def test_one_broken_file_is_one_broken_task(tmp_path, text, message):
    write_task(tmp_path, MOOD)
    write_task(tmp_path, text, "other")
    (tmp_path / "No Task.yaml").write_text("name: [", encoding="utf-8")
    assert load_task_names(tmp_path) == ["mood", "other"]
    assert load_task("mood", tmp_path, RECIPES).rows == 8
    with pytest.raises(SpecError, match=message):
        load_task("other", tmp_path, RECIPES)
    with pytest.raises(SpecError, match="No Task.yaml"):
        load_tasks(tmp_path, RECIPES)


def test_extends_lays_the_child_over_the_parent(tmp_path):
    write_task(tmp_path, MOOD)
    child = "name: mood-2\nextends: mood\nrows: 5\nanswer: {question: Which mood?}\n"
    write_task(tmp_path, child, "mood-2")
    tasks = load_tasks(tmp_path, RECIPES)
    assert tasks["mood-2"].rows == 5
    assert tasks["mood-2"].answer.question == "Which mood?"
    assert tasks["mood-2"].labels == tasks["mood"].labels


def test_a_task_knows_all_that_it_extends(tmp_path):
    write_task(tmp_path, MOOD)
    write_task(tmp_path, "name: b\nextends: mood\n", "b")
    write_task(tmp_path, "name: c\nextends: b\n", "c")
    tasks = load_tasks(tmp_path, RECIPES)
    assert {name: spec.ancestors for name, spec in tasks.items()} == {
        "mood": (),
        "b": ("mood",),
        "c": ("b", "mood"),
    }


def test_a_task_says_how_its_rows_go_out(tmp_path):
    spec = spec_of(tmp_path / "a")
    assert spec.release.license == "unknown"
    assert spec.release.splits == {"train": 0.8, "validation": 0.1, "test": 0.1}
    chosen = "release: {license: cc-by-4.0, splits: {train: 0.5, test: 0.5}}\n"
    spec = spec_of(tmp_path / "b", MOOD + chosen)
    assert spec.release.license == "cc-by-4.0"
    assert spec.release.splits == {"train": 0.5, "test": 0.5}


def test_extends_in_a_circle_of_two(tmp_path):
    write_task(tmp_path, "name: a\nextends: b\n", "a")
    write_task(tmp_path, "name: b\nextends: a\n", "b")
    with pytest.raises(SpecError, match="circular: a -> b -> a"):
        load_task("a", tmp_path, RECIPES)


def test_a_broken_recipe_is_an_error_of_the_tasks_that_use_it_alone(tmp_path):
    shutil.copytree(RECIPES, tmp_path / "recipes")
    (tmp_path / "recipes/mine.yaml").write_text("name: [mine\n")
    again = (RECIPES / "zerogen.yaml").read_text()
    (tmp_path / "recipes/zerogen-again.yaml").write_text(again)
    tasks = tmp_path / "tasks"
    write_task(tasks)
    assert load_task("mood", tasks, tmp_path / "recipes").recipe.name == "targen"
    for recipe, said in {
        "mine": "mine.yaml:2: not valid YAML",
        "zerogen": "another recipe",
    }.items():
        write_task(tasks, MOOD.replace("rows: 8", f"rows: 8\nrecipe: {recipe}"))
        with pytest.raises(SpecError, match=said):
            load_task("mood", tasks, tmp_path / "recipes")


def test_an_unknown_task_gets_the_nearest_name():
    with pytest.raises(SpecError, match="no task 'rtee'; did you mean 'rte'"):
        load_task("rtee", TASKS, RECIPES)
    with pytest.raises(SpecError, match=r"valid: axg, bioasq, .*, rte-attrprompt and \d+ more$"):
        load_task("zzzzzz", TASKS, RECIPES)


def test_a_file_of_terms_is_read_with_the_task(tmp_path):
    (tmp_path / "words.txt").write_text("# people\nbaker\n\nbarber \n", encoding="utf-8")
    spec = spec_of(tmp_path, MOOD + "vocabularies: {people: {file: words.txt}}\n")
    assert spec.vocabularies["people"].terms == ["baker", "barber"]


EXAMPLE = "examples: [{fields: {note: Hooray}, label: glad}]\n"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("{fields: {nota: Hooray}, label: glad}", "examples.0.fields.nota: unknown field"),
        ("{fields: {}, label: glad}", "lacks the field 'note'"),
        ("{fields: {note: Hooray}, label: gladd}", "no label 'gladd'; did you mean 'glad'?"),
    ],
)
def test_examples_are_rows_of_the_task(tmp_path, wrong, message):
    assert spec_of(tmp_path, MOOD + EXAMPLE).examples[0].label == "glad"
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, MOOD + f"examples: [{wrong}]\n")
    assert message in str(caught.value)
    write_task(tmp_path / "more", f"examples: [{wrong}]\n", "few")
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, MOOD + "examples_file: more/few.yaml\n")
    assert message in str(caught.value)


def test_no_folder_and_no_file(tmp_path):
    with pytest.raises(SpecError, match="`targen init NAME` .*TARGEN_TASKS_DIR"):
        load_tasks(tmp_path / "nowhere", RECIPES)
    with pytest.raises(SpecError, match="no task file"):
        load_tasks(tmp_path, RECIPES)


SEEDED = """\
seeds:
  kind: passage
  what: a premise
  fields:
    premise: {description: the premise}
"""
PAIR = """\
name: pair
title: Pairs
description: A premise and a hypothesis.
fields:
  premise: {description: the premise}
  hypothesis: {description: the hypothesis}
answer:
  kind: class
  question: Does it follow?
  labels:
    "yes": {constraint: The hypothesis must follow from the premise., definition: It follows.}
    "no": {constraint: The hypothesis must not follow., definition: It does not follow.}
"""


def seed_warned(tmp_path, text):
    (tmp_path / "pair.yaml").write_text(text, encoding="utf-8")
    return seed_warnings(load_task("pair", tmp_path, RECIPES))


def test_a_seed_that_leaves_the_label_open_gives_no_warning(tmp_path):
    assert seed_warned(tmp_path, PAIR + SEEDED) == []


def test_a_seed_that_fixes_all_fields_is_warned_of(tmp_path):
    whole = SEEDED + "    hypothesis: {description: the hypothesis}\n"
    (found,) = seed_warned(tmp_path, PAIR + whole)
    assert "every field of the task (premise, hypothesis)" in found
    unused = "steps:\n  seeds: {operator: none}\n"
    assert seed_warned(tmp_path, PAIR + whole + unused) == []


def test_a_constraint_on_a_field_of_the_seed_is_warned_of(tmp_path):
    wrong = PAIR.replace("The hypothesis must not follow.", "The premise must leave it open.")
    (found,) = seed_warned(tmp_path, wrong + SEEDED)
    assert "the constraint of 'no' demands something of `premise`" in found


def test_a_constraint_that_names_no_field_to_write_is_warned_of(tmp_path):
    wrong = PAIR.replace("The hypothesis must not follow.", "It must be a different matter.")
    (found,) = seed_warned(tmp_path, wrong + SEEDED)
    assert "'no' names no field that is left to write" in found
    assert "`hypothesis`" in found


def test_no_task_of_the_repository_has_a_seed_that_decides_its_label():
    for name, spec in load_tasks(TASKS, RECIPES).items():
        assert seed_warnings(spec) == [], name
