"""The task and the plug-ins of docs/plugins.md run, and the audit and the digests name them."""

import re
from pathlib import Path

import pytest

import targen
from targen.operators import step_digest
from targen.quality.inputs import report_digest
from targen.steps import ROW_STEPS
from targen.tasks.loading import load_task_file
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import YamlFile
from tests.support.specs import RECIPES, ROOT

PAGE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
(TASK,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
MODULES: dict[str, str] = {}
for _name, _block in re.findall(r'```python title="(\w+\.py)"\n(.*?)```', PAGE, re.S):
    MODULES[_name] = MODULES.get(_name, "") + "\n" + _block


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the page's task, with its plug-ins, which are allowed."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "moods.yaml").write_text(TASK, encoding="utf-8")
    for name, text in MODULES.items():
        (tmp_path / "plugins" / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TARGEN_PLUGINS", "plugins")
    for name in ("TARGEN_MODEL", "TARGEN_DATA_DIR", "TARGEN_STORE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def loaded(folder: Path) -> TaskSpec:
    return load_task_file(folder / "moods.yaml", RECIPES)


def digests(folder: Path) -> dict[str, str]:
    spec = loaded(folder)
    return {step: step_digest(step, spec) for step in ROW_STEPS} | {"report": report_digest(spec)}


async def test_the_task_of_the_page_runs(folder: Path) -> None:
    notes = folder / "plugins/notes.py"
    # The simulator writes whole sentences in small letters, so both checks pass until they ask for
    # something that only some of its rows have.
    strict = '(".", "?", "!")) and len(row[field]) % 2 == 0'
    notes.write_text(notes.read_text().replace('(".", "?", "!"))', strict))
    data = await targen.generate(folder / "moods.yaml", model="simulator")
    assert data.rows.height == 12
    assert (data.rows["note"].str.len_chars() % 2).sum() == 0
    refused = data.rejected.filter(reason="invalid")["detail"]
    assert refused.str.starts_with("ends_a_sentence: note has no end").any()
    assert data.frames["contexts"]["text"].to_list() == [
        "place: kitchen", "place: station", "place: office",
    ]  # fmt: skip

    report = targen.report(data)
    assert report.value("questions") == data.rows["note"].str.contains(r"\?").mean()
    assert report.value("questions", "glad") is not None
    (gate,) = report.json["gates"]
    assert gate["passed"] is True and gate["text"].startswith("Notes with a question: ")
    assert "Notes with a question" in report.html()

    audit = targen.audit(data.rows["instance_id"][0], data)
    assert audit.verdict == "verified", audit.findings
    version = loaded(folder).plugin_set.validators["ends_a_sentence"].code.version
    story, shown = "\n".join(audit.story), version[:19].replace(":", " ")
    assert f"validator ends_a_sentence (plugins/notes.py, {shown}) in contexts" in story
    assert "operator places (plugins/places.py, sha256 " in story
    assert version in audit.html()


async def test_a_guard_rejects_with_its_name(folder: Path) -> None:
    guard = folder / "plugins/notes.py"
    guard.write_text(guard.read_text().replace("text.text.isupper()", "len(text.text) % 2"))
    data = await targen.generate(folder / "moods.yaml", model="simulator")
    refused = data.rejected.filter(reason="guard")["detail"]
    assert refused.str.contains("shouting: note: is written in capitals").any()


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("notes.py", {"vocabularies", "contexts", "seeds", "instances"}),
        ("figures.py", {"report"}),
        ("places.py", {"contexts"}),
        ("words.txt", {"vocabularies", "contexts", "seeds", "instances", "report"}),
        ("_unused.py", set()),
    ],
)
def test_a_change_reruns_the_steps_that_use_it(folder: Path, file: str, changed: set[str]) -> None:
    before = digests(folder)
    path = folder / "plugins" / file
    path.write_text((path.read_text() if path.exists() else "") + "\n# changed\n")
    after = digests(folder)
    assert {step for step in after if after[step] != before[step]} == changed


def test_a_helper_counts_for_the_modules_that_import_it(folder: Path) -> None:
    helper, notes = folder / "plugins/_ends.py", folder / "plugins/notes.py"
    helper.write_text('ENDS = (".",)\n')
    text = notes.read_text().replace('(".", "?", "!")', "ENDS")
    notes.write_text(
        text.replace("from targen.plugins", "from ._ends import ENDS\nfrom targen.plugins")
    )
    check = loaded(folder).plugin_set.validators["ends_a_sentence"].check
    assert check({"note": "Ha!"}, {"text": "note"}) == "note has no end"
    before = digests(folder)
    helper.write_text('ENDS = (".", "!")\n')
    # The same process runs the new code, although a module of that name is imported already.
    check = loaded(folder).plugin_set.validators["ends_a_sentence"].check
    assert check({"note": "Ha!"}, {"text": "note"}) is None
    after = digests(folder)
    assert after["instances"] != before["instances"] and after["report"] == before["report"]
    assert not list(folder.rglob("__pycache__"))


def test_a_task_without_plugins_keeps_its_digests(folder: Path) -> None:
    """A folder is named, but nothing of it is used."""
    plain = YamlFile(folder / "moods.yaml").data
    for key in ("plugins", "validators", "gates", "steps"):
        del plain[key]
    without = targen.load_task(plain)
    named = targen.load_task({**plain, "plugins": "plugins"})
    for step in ROW_STEPS:
        assert step_digest(step, named) == step_digest(step, without)
    assert report_digest(named) == report_digest(without)
