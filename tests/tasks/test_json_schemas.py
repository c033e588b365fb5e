"""The JSON Schemas: true to the code, accepting every file of the repository, refusing mistakes."""

import json

import jsonschema
import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.tasks.json_schemas import files, recipe_schema, task_schema
from targen.tasks.yamlfile import YamlFile
from tests.support.specs import RECIPES, ROOT, TASKS


def problems(schema, data):
    jsonschema.Draft202012Validator.check_schema(schema)
    return list(jsonschema.Draft202012Validator(schema).iter_errors(data))


@pytest.mark.parametrize("name", ["task.schema.json", "recipe.schema.json"])
def test_what_is_checked_in_is_what_the_code_says(name):
    stored = (ROOT / "schemas" / name).read_text(encoding="utf-8")
    assert stored == files()[name], "run `targen schema` and commit what it writes"


@pytest.mark.parametrize("path", sorted(TASKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_task_fits(path):
    assert problems(task_schema(), YamlFile(path).data) == []


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_fits(path):
    assert problems(recipe_schema(), YamlFile(path).data) == []


RTE = YamlFile(TASKS / "rte.yaml").data
TARGEN = YamlFile(RECIPES / "targen.yaml").data


@pytest.mark.parametrize(
    "change",
    [
        {"row": 5},
        {"rows": 0},
        {"language": "tlh"},
        {"validators": [{"difer": {"a": "premise", "b": "hypothesis"}}]},
        {"validators": [{"differ": {"a": "premise"}}]},
        {"steps": {"instances": {"per_cal": 3}}},
        {"steps": {"labels": {"operator": "anotate"}}},
        {"answer": {"kind": "clas"}},
    ],
)
def test_a_mistake_in_a_task_is_shown(change):
    assert problems(task_schema(), {**RTE, **change})


def test_a_task_with_plugins_may_use_their_names():
    own = {"validators": [{"polite": {"text": "premise"}}], "steps": {"seeds": {"operator": "own"}}}
    assert len(problems(task_schema(), {**RTE, **own})) == 2
    assert problems(task_schema(), {**RTE, **own, "plugins": "plugins"}) == []


def test_a_task_that_extends_none_needs_its_sections():
    assert problems(task_schema(), {"name": "mine"})
    assert not problems(task_schema(), {"name": "mine", "extends": "rte"})


@pytest.mark.parametrize(
    "steps",
    [
        {"labels": "intended"},
        {"instances": "label_constrained", "labels": "anotate"},
        {"instances": {"operator": "label_constrained", "votes": 3}, "labels": "intended"},
        {"instances": "compose", "labels": {"operator": "annotate", "votes": 0}},
    ],
)
def test_a_mistake_in_a_recipe_is_shown(steps):
    assert problems(recipe_schema(), {**TARGEN, "steps": steps})


def test_keys_and_parameters_say_what_they_are():
    schema = task_schema()
    assert schema["properties"]["edition"]["description"].startswith("part of every request's")
    assert "overrides" not in json.dumps(schema["properties"]["recipe"])
    retries = schema["$defs"]["PartialSteps"]["properties"]["instances"]["properties"]["over"]
    assert "keeps 3,000 of 25,000" in retries["description"]


def test_the_command_writes_them(tmp_path):
    result = CliRunner().invoke(app, ["schema", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(files())


def test_a_folder_that_is_none_is_one_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    result = CliRunner().invoke(app, ["schema", str(tmp_path / "file")])
    assert result.exit_code == 1
    assert result.output.startswith("error: Cannot write") and "another FOLDER" in result.output
