"""`targen init`, `validate`, `list`, `show`, `serve` and `--version`, as a new user types them."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.operators.planning import plan
from targen.tasks.loading import load_task
from tests.support.specs import MOOD, RECIPES, TASKS, real_task, write_task

runner = CliRunner()
TICKETS = (
    "--description", "A ticket: from a customer, \"quoted\" & <b>.",
    "--field", "body: Write two to five sentences, 20 to 60 words.",
    "--field", "subject: Write a subject line.",
    "--question", "How urgent is it?",
    "--label", "high: Someone cannot work.",
    "--label", "null: It can wait; any day will do.",
    "--contexts", "products and their customers",
)  # fmt: skip


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(tmp_path / "tasks"))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    for name in ("TARGEN_STORE_URL", "TARGEN_MODEL", "TARGEN_ROWS", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def told(*words: str, status: int = 0, keys: str | None = None) -> str:
    result = runner.invoke(app, list(words), input=keys)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def test_a_new_task_is_valid_at_once(tmp_path: Path) -> None:
    text = told("init", "tickets", *TICKETS)
    assert "targen preview tickets" in text
    assert "tickets: 200 rows by recipe targen, 2 labels" in told("validate", "tickets")
    spec = load_task("tickets", tmp_path / "tasks", RECIPES)
    assert list(spec.labels) == ["high", "null"]
    assert spec.fields["body"].max_words == 90
    assert spec.description == 'A ticket: from a customer, "quoted" & <b>.'
    lines = (tmp_path / "tasks/tickets.yaml").read_text().splitlines()
    assert max(map(len, lines)) < 120 and sum(line.strip().startswith("#") for line in lines) > 15


def test_what_is_there_is_not_replaced_and_what_is_wrong_is_not_written(tmp_path: Path) -> None:
    told("init", "tickets", *TICKETS)
    assert "exists. Choose another name" in told("init", "tickets", *TICKETS, status=1)
    told("init", "tickets", *TICKETS, "--force", "--rows", "9")
    assert load_task("tickets", tmp_path / "tasks", RECIPES).rows == 9
    for words, error in (
        (("init", "Bad Name", *TICKETS), "The name 'Bad Name' must be lower-case"),
        (("init", "one", *TICKETS, "--field", "slot: a number"), "has the name of a column"),
        (("init", "one", *TICKETS, "--field", "1x: a number"), "no digit first"),
        (("init", "one", *TICKETS, "--label", "high: again"), "'high' is given twice"),
        (("init", "one", *TICKETS, "--label", "nothing"), "must be 'NAME: words'"),
        (("init", "one", *TICKETS, "--recipe", "targn"), "did you mean 'targen'?"),
        (("init", "one", *TICKETS, "--language", "eng"), "unknown language 'eng'"),
        (("init", "one", *TICKETS, "--recipe", "self-instruct"), "examples"),
        (("init", "one"), "Give --description, --field, --question, --label, --contexts"),
        (("init", "../one", *TICKETS), "must be lower-case"),
    ):
        assert error in told(*words, status=1), words
    assert [path.name for path in (tmp_path / "tasks").iterdir()] == ["tickets.yaml"]
    assert not (tmp_path / "one.yaml").exists()


def test_the_questions_on_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("targen.cli.init._on_a_terminal", lambda: True)
    keys = (
        "A ticket.\nbody Write it.\nbody: Write it.\n\nHow urgent?\nlow: It waits.\n\n"
        "high: It does not.\n\nproducts\n"
    )
    text = told("init", "asked", keys=keys)
    assert "must be 'NAME: words'" in text and "At least 2: 1 so far." in text
    spec = load_task("asked", tmp_path / "tasks", RECIPES)
    assert (list(spec.fields), list(spec.labels)) == (["body"], ["low", "high"])


def test_names_files_and_folders_are_validated(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "tasks")
    assert "mood: 8 rows by recipe targen, 2 labels" in told("validate", "mood")
    assert "1 task is valid" in told("validate", str(folder / "mood.yaml"))
    recipes = len(list(RECIPES.glob("*.yaml")))
    assert f"{recipes} recipes are valid" in told("validate", str(RECIPES))
    assert "zerogen: a recipe" in told("validate", str(RECIPES / "zerogen.yaml"))
    assert "2 tasks are valid" in told("validate", "mood", str(TASKS / "rte.yaml"))
    (folder / "other.yaml").write_text(MOOD.replace("name: mood", "name: gloom"))
    assert "warning: gloom: its file is other.yaml; call it gloom.yaml" in told("validate")
    (folder / "bad.yaml").write_text("title: x\n")
    found = json.loads(told("validate", "--json", status=1))
    assert found["tasks"] == ["gloom", "mood"] and not found["valid"]
    assert "a task needs a `name`" in found["problems"][0]
    assert "did you mean 'mood'" in told("validate", "moood", status=1)
    assert "the file does not exist" in told("validate", "tasks/none.yaml", status=1)
    (tmp_path / "empty").mkdir()
    assert "contains no task" in told("validate", str(tmp_path / "empty"), status=1)


def test_one_mistake_does_not_hide_another(tmp_path: Path) -> None:
    wrong = MOOD.replace("title: Mood", "titel: x\ntitle: Mood").replace("per_call", "per_cal")
    write_task(tmp_path / "tasks", wrong)
    text = told("validate", "mood", status=1)
    assert "titel: unknown key; did you mean 'title'?" in text
    assert "per_cal" in text and "no such parameter" in text


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("    glad:", "    null:", 'write "null" in quotes'),
        ("    sad:", "    glad:", "the key 'glad' occurs twice; remove or rename one"),
        ("rows: 8", "rows: 100000000000", "less than or equal to 10000000"),
        (MOOD, "- a\n- b\n", "expected a mapping of keys, found a list"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, old: str, new: str, error: str) -> None:
    write_task(tmp_path / "tasks", MOOD.replace(old, new))
    text = told("validate", "tasks/mood.yaml" if old == MOOD else "mood", status=1)
    assert error in text or old == MOOD
    if old == MOOD:
        assert error in told("validate", str(tmp_path / "tasks" / "mood.yaml"), status=1)
    assert "{" not in text


@pytest.mark.parametrize(
    ("gold", "error"),
    [
        ("note,label\nHi there,cheerful\n", "'label' is 'cheerful', which is not a label of mood"),
        ("text,label\nHi there,glad\n", "has no column for 'note'"),
        ("note,label\n", "contains no rows"),
        ("note,label\nHi there, Glad \n", ""),
    ],
)
@pytest.mark.parametrize("section", ["reference: ", "elsewhere:\n  other: "])
def test_gold_rows_are_checked_before_a_run_pays(
    tmp_path: Path, gold: str, error: str, section: str
) -> None:
    folder = write_task(tmp_path / "tasks", f"{MOOD}{section}{{file: gold.csv}}\n")
    (folder / "gold.csv").write_text(gold)
    assert error in told("validate", "mood", status=1 if error else 0)


def test_a_variable_that_nothing_reads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_ROW", "5")
    monkeypatch.setenv("TARGEN_TEST_MODEL", "1")
    result = runner.invoke(app, ["validate", str(TASKS / "rte.yaml")])
    assert result.stderr == (
        "warning: TARGEN_ROW is not a setting and has no effect; did you mean TARGEN_ROWS?\n"
    )


def test_the_version() -> None:
    import targen

    assert told("--version") == f"targen {targen.__version__}\n"


def test_tasks_that_were_not_made_are_listed(tmp_path: Path) -> None:
    write_task(tmp_path / "tasks")
    assert "mood  targen  -     not made" in told("list")
    assert "No task has been made" in told("list", "--made")
    (line,) = json.loads(told("list", "--json"))
    assert line["state"] == "not made" and line["rows"] is None


def test_a_broken_file_hides_no_other_task_from_the_list(tmp_path: Path) -> None:
    write_task(tmp_path / "tasks")
    (tmp_path / "tasks" / "half.yaml").write_text("name: half\n")
    (tmp_path / "tasks" / "open.yaml").write_text("name: [open\n")
    for words in (["list"], ["list", "--json"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1
        assert "mood" in result.stdout
        assert "half.yaml: title: this required key is missing" in result.stderr
        assert "open.yaml:2: not valid YAML" in result.stderr
    assert [line["task"] for line in json.loads(result.stdout)] == ["mood"]


def test_the_plan_of_a_task(tmp_path: Path) -> None:
    write_task(tmp_path / "tasks")
    found = json.loads(told("show", "mood", "--json", "--rows", "60"))
    calls = {step["step"]: step["calls"] for step in found["steps"]}
    assert found["instances"] == load_task("mood", tmp_path / "tasks", RECIPES, 60).wanted_instances
    assert calls["labels"] == found["instances"]
    text = told("show", "mood")
    assert "label glad: A glad writer." in text and "llm_per_context" in text


def test_a_large_plan_is_quick() -> None:
    import time

    spec = real_task("rte", 100_000)
    started = time.process_time()
    steps = {one.step: one.total for one in plan(spec)}
    assert time.process_time() - started < 3
    assert steps["labels"] == spec.wanted_instances
    assert spec.wanted_instances / 5 <= steps["instances"] < spec.wanted_instances / 4.9


@pytest.mark.parametrize("port", ["99999", "-1", "0"])
@pytest.mark.parametrize("command", ["serve", "pages"])
def test_a_port_that_does_not_exist(command: str, port: str) -> None:
    assert "http://" not in told(command, "--port", port, status=2)


@pytest.mark.parametrize("command", ["serve", "pages"])
def test_a_port_that_is_taken(command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = told(command, "--port", str(port), status=1)
    assert f"Port {port} cannot be used" in text and "http://" not in text


def test_names_are_completed(tmp_path: Path) -> None:
    from targen.cli.base import task_names

    write_task(tmp_path / "tasks")
    assert task_names("mo") == ["mood"] and task_names("x") == []


def test_a_task_that_takes_no_targets_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(TASKS))
    said = told("validate", "rte-contrast")
    assert "note: rte-contrast: targets cannot be made with the operator contrast" in said
    assert "note:" not in told("validate", "rte")


def test_a_mistake_in_the_file_of_targets_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(TASKS))
    file = tmp_path / "data" / "targets" / "rte.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("task: rte\nrond: []\n")
    assert "rte.yaml:2: rond: unknown key" in told("validate", "rte", status=1)
