"""Plug-ins that cannot be used are one error with file and line; installed ones need no folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from targen.errors import PluginError, SpecError
from targen.tasks.loading import load_task_file
from targen.tasks.spec import TaskSpec
from tests.support.specs import MOOD, RECIPES, ROOT

HEAD = "from targen.plugins import guard, metric, operator, validator\n"
GOOD = HEAD + "@guard('loud')\ndef loud(text):\n    return None\n"
ACME = Path(__file__).parent / "acme"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "plugins").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TARGEN_PLUGINS", "plugins")
    return tmp_path


def load(folder: Path, code: str = GOOD, more: str = "plugins: plugins\n") -> TaskSpec:
    (folder / "plugins/own.py").write_text(code, encoding="utf-8")
    (folder / "mood.yaml").write_text(MOOD + more, encoding="utf-8")
    return load_task_file(folder / "mood.yaml", RECIPES)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_that_name\n", "own.py:1: cannot be imported: ModuleNotFoundError: "),
        ("x = 1\ndef f(:\n", "own.py:2: cannot be imported: SyntaxError: "),
        ("import sys\nsys.exit(3)\n", "own.py:2: cannot be imported: SystemExit: 3"),
        (
            "from .gone import x\n",
            "own.py:1: cannot be imported: ModuleNotFoundError: No module named '.gone'",
        ),
        (
            HEAD + "@guard('loud')\nclass Loud: pass\n",
            "own.py:2: cannot be imported: TypeError: @guard needs a function, not type",
        ),
        (
            HEAD + "@validator('polite', reads=('text',))\ndef f(row):\n    return None\n",
            "own.py:2: the function of the validator 'polite' must take (row, roles), but takes "
            "(row)",
        ),
        (
            HEAD + "@operator('contexts', 'mine')\ndef f(step, params):\n    return None\n",
            "own.py:2: the function of the operator 'mine' must be declared with `async def`",
        ),
        (
            HEAD + "@guard('loud')\nasync def f(text):\n    return None\n",
            "own.py:2: the function of the guard 'loud' must be declared with `def`, not",
        ),
        (
            HEAD + "@validator('differ', reads=('a',))\ndef f(row, roles): ...\n",
            "own.py:2: there is a built-in validator 'differ'; choose another name",
        ),
        (
            HEAD + "@metric('kappa', words='k', says='k')\ndef f(inputs): ...\n",
            "own.py:2: there is a built-in metric 'kappa'; choose another name",
        ),
        (
            HEAD + "@operator('contexts', 'llm_list')\nasync def f(step, params): ...\n",
            "own.py:2: there is a built-in operator 'llm_list'; choose another name",
        ),
        (
            HEAD + "@operator('context', 'mine')\nasync def f(step, params): ...\n",
            "own.py:2: unknown step 'context'; did you mean 'contexts'?",
        ),
        (
            GOOD + "@guard('loud')\ndef other(text): ...\n",
            "own.py:5: plugins/own.py:2 already defines a guard 'loud'; rename one of them",
        ),
        (
            HEAD + "@guard('../x')\ndef f(text): ...\n",
            "own.py:2: '../x' is not a valid name for a guard",
        ),
        (
            HEAD + "@validator('polite', reads=('language',))\ndef f(row, roles): ...\n",
            "own.py:2: the roles of 'polite' must be different names",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used(folder: Path, code: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(folder, code)
    said = str(caught.value)
    assert said.startswith(f"{folder}/mood.yaml:24: plugins: plugins/{message}"), said
    assert len(said.splitlines()) <= 2
    # A repaired file is read again.
    assert load(folder).plugin_set.guards.keys() == {"loud"}


def test_a_folder_that_is_not_allowed_is_not_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"open({str(folder / 'ran')!r}, 'w').close()\n"
    for allowed in ("", "other, plugin", "plugins/own.py"):
        monkeypatch.setenv("TARGEN_PLUGINS", allowed)
        with pytest.raises(SpecError, match="runs the Python code in plugins, which you have not"):
            load(folder, code)
    assert not (folder / "ran").exists()
    # Folders below an allowed one are allowed.
    monkeypatch.setenv("TARGEN_PLUGINS", f"other, {folder}")
    load(folder, code)
    assert (folder / "ran").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("plugins: ../elsewhere\n", "'../elsewhere' leaves the folder of the tasks"),
        ("plugins: /etc\n", "'/etc' leaves the folder of the tasks"),
        ("plugins: .\n", "give the plug-ins a folder of their own"),
        ("plugins: gone\n", "there is no folder 'gone' beside the task"),
        ("plugins: {guards: [laud], folder: plugins}\n", "a guard 'laud'; did you mean 'loud'?"),
        ("plugins: {metrics: [kappa]}\n", "no plug-in has a metric 'kappa'; the task has none"),
        ("plugins: {floder: plugins}\n", "did you mean 'folder'?"),
    ],
)
def test_a_task_that_names_what_is_not_there(folder: Path, more: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(folder, more=more)
    assert "mood.yaml:24: plugins" in str(caught.value) and message in str(caught.value)


def test_links_do_not_lead_out_of_the_folder(folder: Path) -> None:
    (folder / "outside.py").write_text(GOOD)
    link = folder / "plugins/link.py"
    link.symlink_to(folder / "outside.py")
    with pytest.raises(SpecError, match="plugins/link.py is a link that leaves the folder"):
        load(folder)
    link.unlink()
    elsewhere = folder.parent / f"{folder.name}-elsewhere"
    elsewhere.mkdir()
    (folder / "linked").symlink_to(elsewhere)
    with pytest.raises(SpecError, match="'linked' leaves the folder of the tasks"):
        load(folder, more="plugins: linked\n")


def test_two_tasks_may_have_different_plugins_of_one_name(folder: Path) -> None:
    other = folder / "other"
    (other / "plugins").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TARGEN_PLUGINS", "plugins, other/plugins")
        first, second = load(folder), load(other, GOOD.replace("None", "'too loud'"))
    assert first.plugin_set.guards["loud"].check("x") is None
    assert second.plugin_set.guards["loud"].check("x") == "too loud"
    # A task that names no folder sees none of them.
    with pytest.raises(SpecError, match="no plug-in has a guard 'loud'"):
        load(folder, more="plugins: {guards: [loud]}\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return row['nothing']", "plugins/own.py:4: the validator 'polite' failed: KeyError: 'no"),
        ("return 3", "plugins/own.py:2: the validator 'polite' returned 3; return the problem as"),
        ("return None", "the validator 'polite' found no problem, but did not set the field of the "
         "role `mark`, event"),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_in_a_run(folder: Path, body: str, message: str) -> None:
    code = "@validator('polite', reads=('text',), fills=('mark',))\ndef f(row, roles):\n    "
    spec = load(folder, HEAD + code + body + "\n")
    with pytest.raises(PluginError) as caught:
        spec.plugin_set.validators["polite"].check({"note": "x"}, {"text": "note", "mark": "event"})
    assert message in str(caught.value)


async def test_rows_that_do_not_fit_the_table(folder: Path) -> None:
    from targen.operators import run_step

    code = "from targen.plugins import StepResult\n@operator('contexts', 'mine')\n"
    code += "async def mine(step, params):\n    return StepResult(rows=[{'txt': 'x'}], asked=1)\n"
    (folder / "plugins/own.py").write_text(HEAD + code)
    (folder / "mood.yaml").write_text(
        MOOD.replace("contexts: {count: 2}", "contexts: {operator: mine}") + "plugins: plugins\n"
    )
    spec = load_task_file(folder / "mood.yaml", RECIPES)
    words = (await run_step("vocabularies", spec, {}, None)).table
    with pytest.raises(PluginError, match="own.py:3: the operator 'mine' returned rows with"):
        await run_step("contexts", spec, {"vocabularies": words}, None)


def test_a_metric_that_fails_is_not_measured(folder: Path) -> None:
    import polars as pl

    from targen.quality.collector import MetricCollector
    from targen.quality.inputs import ReportInputs
    from targen.quality.plugin_metrics import measure

    code = "from targen.plugins import Measure\n"
    for name, body in {
        "broken": "[Measure('broken', 1 / 0, 1)]",
        "odd": "[Measure('other', 0.5, 1)]",
        "large": "[Measure('large', 1.5, 1)]",
        "fine": "[Measure('fine', 0.5, 2, 'glad')]",
        "spelled": "[Measure('spelled', '0.5', 2)]",
        "nan": "[Measure('nan', float('nan'), 2)]",
    }.items():
        code += f"@metric('{name}', words='w', says='s', share=True)\n"
        code += f"def {name}(inputs):\n    return {body}\n"
    spec = load(folder, HEAD + code, "plugins:\n  folder: plugins\n"
                "  metrics: [broken, odd, fine, spelled, nan]\n"
                "gates: [{metric: large, at_most: 0.5}]\n")  # fmt: skip
    rows = pl.DataFrame({"note": ["x"], "label": ["glad"]})
    inputs = ReportInputs("mood", "", "", {"note": "text"}, "class", {"corrected_set": rows},
                          plugin_metrics=spec.plugin_metrics)  # fmt: skip
    collector = MetricCollector()
    names = [one["name"] for one in measure(inputs, collector)]
    assert names == ["broken", "odd", "fine", "spelled", "nan", "large"]
    assert [(one.metric, one.slice) for one in collector.measures] == [("fine", "glad")]
    assert collector.skipped["broken"] == (
        "plugins/own.py:5: the metric 'broken' failed: ZeroDivisionError: division by zero"
    )
    assert "a figure of the metric 'other'" in collector.skipped["odd"]
    assert "1.5, which is not a share" in collector.skipped["large"]
    assert "returned '0.5'; return a finite number or None" in collector.skipped["spelled"]
    assert "returned nan; return a finite number or None" in collector.skipped["nan"]


def run_with_package(folder: Path, code: str) -> str:
    path = f"{ROOT}:{folder}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONPATH": path, "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


INSTALLED = """
import targen
from targen.operators import step_digest
from targen.tasks.plugin_use import plugins_of
from targen.tasks.json_schemas import task_schema
task = targen.load_task({**TASK,
    "plugins": {"guards": ["acme_names"], "metrics": ["acme_words"]},
    "validators": [{"acme_short": {"text": "note"}}],
    "steps": {"contexts": {"operator": "acme_sites"}}})
for step in ("contexts", "instances", "labels", "quality_report"):
    print(step, [(one["kind"], one["source"], one["version"]) for one in plugins_of(step, task)])
print(step_digest("labels", task) == step_digest("labels", targen.load_task(TASK)))
print("acme_short" in str(task_schema()))
"""


def test_the_plugins_of_an_installed_package(folder: Path) -> None:
    from targen.tasks.yamlfile import YamlFile

    task = YamlFile(Path("mood.yaml"), MOOD).data
    said = run_with_package(ACME, f"TASK = {task!r}\n{INSTALLED}").splitlines()
    module, version = "acme-notes: acme_notes.notes", "acme-notes 1.2"
    validator, guard = ("validator", module, version), ("guard", module, version)
    assert said == [
        f"contexts {[guard, ('operator', module, version), validator]}",
        f"instances {[guard, validator]}",
        "labels []",
        f"quality_report {[('metric', module, version)]}",
        "True",
        "True",
    ]


def test_a_broken_package_is_named(folder: Path) -> None:
    info = folder / "bad_one-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-one\nVersion: 3\n")
    (info / "entry_points.txt").write_text("[targen.plugins]\nx = bad_one\n")
    (folder / "bad_one.py").write_text("import gone\n")
    code = "import targen\ntry:\n    targen.load_task('rte')\n"
    code += "except targen.TargenError as error:\n    print(error)"
    assert run_with_package(folder, code).strip() == (
        "the plug-in 'x' of the package bad-one: bad_one cannot be imported: ModuleNotFoundError: "
        "No module named 'gone'. Repair the package, or uninstall it: pip uninstall bad-one"
    )
