"""docs/recipes.md: every recipe has its place there, with the steps that its file names."""

import re
import shutil

import pytest

from targen.steps import RECIPE_STEP
from targen.tasks.loading import load_recipes, load_task
from targen.tasks.yamlfile import YamlFile
from tests.support.specs import RECIPES, ROOT, TASKS, write_task

PAGE = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
RECIPE_FILES = load_recipes(RECIPES)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("name", sorted(RECIPE_FILES))
def test_a_recipe_has_a_section_that_draws_its_steps(name: str) -> None:
    recipe = RECIPE_FILES[name]
    section = re.search(rf"^####? {name}\n(.*?)(?=^#|\Z)", PAGE, re.S | re.M)
    assert section is not None
    chosen = {key: recipe.choice(step).operator for step, key in RECIPE_STEP.items()}
    steps = " → ".join(f"{step}: {op}" for step, op in chosen.items() if op != "none")
    assert f"\n    {steps}\n" in section.group(1)


def test_the_bill_names_every_recipe_with_a_task_that_uses_it() -> None:
    lines = re.findall(r"^\| `([\w-]+)` \| `([\w-]+)` \| [\d.]+ \| [\d,]+ \|", PAGE, re.M)
    assert {recipe for recipe, _ in lines} == set(RECIPE_FILES)
    for recipe, task in lines:
        assert YamlFile(TASKS / f"{task}.yaml").data["recipe"] == recipe


def test_the_endpoints_of_ones_own_are_valid(tmp_path) -> None:
    (endpoints,) = (block for block in blocks("yaml") if "cheap:" in block)
    (task,) = (block for block in blocks("yaml") if "rte-two-models" in block)
    file = tmp_path / "ends.yaml"
    file.write_text(endpoints)
    folder = tmp_path / "tasks"
    shutil.copytree(TASKS, folder)
    spec = load_task(
        "rte-two-models", write_task(folder, task, "two"), RECIPES, endpoints_file=file
    )
    named = {"contexts": "cheap", "seeds": "cheap", "corrected_set": "strong"}
    assert spec.recipe.endpoints == named
    assert spec.budget_usd == 20


def test_the_panel_of_the_page_is_valid(tmp_path) -> None:
    (task,) = (block for block in blocks("yaml") if "rte-three-models" in block)
    file = tmp_path / "ends.yaml"
    names = ("strong", "cheap", "classifier")
    lines = [f"  {name}: {{base_url: http://127.0.0.1:1/v1, model: m}}" for name in names]
    file.write_text("\n".join(["endpoints:", *lines]) + "\n")
    folder = tmp_path / "tasks"
    shutil.copytree(TASKS, folder)
    spec = load_task(
        "rte-three-models", write_task(folder, task, "three"), RECIPES, endpoints_file=file
    )
    assert spec.recipe.named_endpoints == set(names)
    assert [one["name"] for one in spec.recipe.choice("corrected_set").params["readers"]] == [
        "large", "small", "nli"
    ]  # fmt: skip


def test_the_contrast_sets_of_the_page_are_valid(tmp_path) -> None:
    (task,) = (block for block in blocks("yaml") if "rte-sets" in block)
    folder = tmp_path / "tasks"
    shutil.copytree(TASKS, folder)
    spec = load_task("rte-sets", write_task(folder, task, "sets"), RECIPES)
    assert spec.contrast and spec.unit == 2 and spec.pair_field == "set_id"


def test_the_recipe_of_ones_own_is_valid(tmp_path) -> None:
    recipe, task = (block for block in blocks("yaml") if "zerogen-checked" in block)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/own.yaml").write_text(recipe)
    (made,) = load_recipes(tmp_path / "recipes").values()
    assert f"recipe: {made.name}\n" in task
    write_task(tmp_path / "tasks", (TASKS / "rte.yaml").read_text(), "rte")
    write_task(tmp_path / "tasks", task, "own")
