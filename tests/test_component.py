"""The component's attributes: what is wrong with them is one error that names defs.yaml."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from dagster import build_resources
from dagster.components.scaffold.scaffold import NoParams, ScaffoldRequest

from targen.errors import TargenError
from targen.tasks.loading import load_tasks
from targen_dagster import TargenComponent
from targen_dagster.component import _Scaffolder
from tests.support.specs import MOOD, RECIPES

TASK = yaml.safe_load(MOOD)


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("TARGEN_PAGES_URL", "TARGEN_DATA_DIR", "TARGEN_ROWS", "TARGEN_MODEL"):
        monkeypatch.delenv(name, raising=False)


def built(folder: Path, **attributes: Any) -> Any:
    context: Any = SimpleNamespace(path=folder / "defs/x", project_root=folder)
    component = TargenComponent(recipes=str(RECIPES), **attributes)
    return component.build_defs(context)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "defs/x/defs.yaml: give either `task` or `tasks`"),
        ({"task": TASK, "tasks": "tasks"}, "give either `task` or `tasks`"),
        ({"tasks": "nowhere"}, "defs/x/nowhere: the folder of tasks does not exist"),
        ({"task": {"title": "x"}}, "defs/x/defs.yaml: task.name: a task needs a name"),
        ({"task": {**TASK, "name": "../../x"}}, "task.name: a task needs a name"),
        ({"task": {**TASK, "fields": {}}}, "defs/x/defs.yaml: task.fields"),
        ({"task": TASK, "key_prefix": ["a-b"]}, "defs.yaml: key_prefix: each part must be letters"),
        ({"task": TASK, "key_prefix": ["nlp", ""]}, "letters, digits and _, not ''."),
        ({"task": TASK, "settings": {"modle": "m"}}, "no such setting; did you mean 'mode"),
        ({"task": TASK, "settings": {"rows": "many"}}, "settings.rows must be a whole number"),
        (
            {"task": TASK, "settings": {"api_key": "sk-canary"}},
            "settings.api_key: set OPENAI_API_KEY in the environment",
        ),
        ({"task": TASK, "settings": {"data_dir": "x"}}, "settings.data_dir: no such setting"),
    ],
)
def test_what_is_wrong_is_one_error(tmp_path: Path, attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(TargenError) as error:
        built(tmp_path, **attributes)
    assert said in str(error.value)
    assert "canary" not in str(error.value) and "targen-tasks" not in str(error.value)


def test_two_components_need_different_prefixes(tmp_path: Path) -> None:
    other = tmp_path / "defs/y/defs.yaml"
    other.parent.mkdir(parents=True)
    other.write_text(
        "type: targen_dagster.TargenComponent\nattributes: {key_prefix: [a, b], tasks: t}\n"
    )
    (tmp_path / "defs/z").mkdir()
    (tmp_path / "defs/z/defs.yaml").write_text("type: another.Component\n{{ a template }}")
    with pytest.raises(TargenError, match="defs/x/defs.yaml: key_prefix: .*y/defs.yaml has"):
        built(tmp_path, task=TASK, key_prefix=["a", "b"])
    assert built(tmp_path, task=TASK, key_prefix=["a"])
    other.unlink()
    (tmp_path / "defs/x").mkdir(exist_ok=True)
    one = "type: targen_dagster.TargenComponent\nattributes: {task: {}}\n"
    (tmp_path / "defs/x/defs.yaml").write_text(one)
    assert built(tmp_path, task=TASK)
    (tmp_path / "defs/x/defs.yaml").write_text(f"{one}---\n{one}")
    with pytest.raises(TargenError, match="defs/x/defs.yaml has the same prefix, \\[\\]"):
        built(tmp_path, task=TASK)


def test_settings_take_precedence_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_ROWS", "7")
    monkeypatch.setenv("TARGEN_MODEL", "m")
    defs = built(tmp_path, task=TASK, data_dir="made", settings={"rows": 5, "expectations": False})
    with build_resources(dict(defs.resources)) as found:
        assert found.targen_tasks.rows == 5
        assert found.targen_llm.model == "m"
        assert found.targen_data.data_dir == str(tmp_path / "made")
    names = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert "contract" in names and "expectations" not in names


def test_the_scaffold_is_a_task(tmp_path: Path) -> None:
    target = tmp_path / "Late-Orders.2"
    _Scaffolder().scaffold(
        ScaffoldRequest("targen_dagster.TargenComponent", target, "yaml", None, NoParams())
    )
    attributes = yaml.safe_load((target / "defs.yaml").read_text())["attributes"]
    assert attributes["key_prefix"] == ["late_orders_2"]
    task = attributes["task"]
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/orders.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
    assert load_tasks(tmp_path / "tasks", RECIPES)["late_orders_2"].title == "Urgency of a message"
