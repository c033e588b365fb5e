"""The pages are true: links lead somewhere, commands exist, every setting is told once."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from targen.cli import app
from tests.support.specs import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
SOURCES = [
    *(path for name in ("targen", "simulator", "resources", "assets", "dagster_project") for path in
      (ROOT / name).rglob("*.py")),
    *(path for path in (ROOT / "deploy").rglob("*") if path.is_file()),
]  # fmt: skip
CLI = typer.main.get_command(app)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> list[str]:
    """Return the lines of the indented and fenced blocks that a reader would type."""
    blocks = re.findall(r"```(?:sh|bash|console)?\n(.*?)```", text, re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [line for line in text.splitlines() if line.startswith("    ")]
    return [line.strip().split("  #")[0].strip() for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    # Code may look like a link.
    text = re.sub(r"`[^`\n]*`", "", TEXTS[page])
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_target_is_there(page: Path) -> None:
    told = set(re.findall(r"`make ([a-z-]+)", TEXTS[page]))
    told |= {
        found.group(1)
        for line in commands(TEXTS[page])
        if (found := re.match(r"(?:[A-Z_]+=\S+ )*make ([a-z-]+)", line))
    }
    assert told <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_targen_command_and_option_is_there(page: Path) -> None:
    told = re.findall(r"`(targen [^`]+)`", TEXTS[page])
    told += [
        found.group(1)
        for line in commands(TEXTS[page])
        if (found := re.match(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(targen [a-z].*)", line))
    ]
    for line in told:
        words = line.split()[1:]
        group, depth = CLI, 0
        while depth < len(words) and hasattr(group, "commands") and words[depth] in group.commands:
            group, depth = group.commands[words[depth]], depth + 1
        assert depth or words[0].startswith("--"), f"no such command: {line}"
        options = {name for parameter in group.params for name in parameter.opts}
        for word in words[depth:]:
            if word.startswith("--"):
                assert word.split("=")[0] in options, f"{line}: no option {word}"


def test_every_setting_is_told_and_every_told_one_is_read() -> None:
    named = set(re.findall(r"\bTARGEN_[A-Z_]+\b", "".join(p.read_text() for p in SOURCES)))
    tests = ("TARGEN_BENCH_", "TARGEN_TEST_", "TARGEN_REPORT_PICTURES")
    read = {name for name in named if not name.startswith(tests) and name != "TARGEN_CELERY_"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    # What only tests and maintainers set is no setting of the product.
    own = set(re.findall(r"\bTARGEN_[A-Z_]+\b", makefile)) | {"TARGEN_TEST_POSTGRES"}
    told = set(re.findall(r"\bTARGEN_[A-Z_]+\b", "".join(TEXTS.values())))
    assert told - own <= read
    # Those of the code stand in one table, those of the deployment's files in the other.
    tables = [TEXTS[ROOT / f"docs/{page}.md"] for page in ("settings", "operations")]
    tables = [text.partition("\n## Settings")[2].partition("\n## ")[0] for text in tables]
    assert read - own <= set(re.findall(r"\bTARGEN_[A-Z_]+\b", "".join(tables)))


def test_the_commands_of_the_readme_that_ask_nothing_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    asked = [line for line in commands(TEXTS[ROOT / "README.md"]) if "targen validate" in line]
    assert asked
    for line in asked:
        words = line.replace("my_task", "ticket_urgency").split()[1:]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output


def test_every_message_that_is_explained_can_come() -> None:
    """A message is told by a part of it without names and numbers, which the source must hold."""
    page = TEXTS[ROOT / "docs/troubleshooting.md"]
    told = re.findall(r"^\| `([^`]+)` \|", page, re.M)
    assert len(told) > 20
    # Strings that go on in the next line are one string.
    source = "".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in SOURCES)
    assert [message for message in told if message not in source] == []


FILE = r"`((?:targen|simulator|resources|assets|dagster_project|deploy)/[\w/.-]+\.\w+)(?:: (\w+))?"
YOURS = "targen/operators/listed.py"
"""The module that the page on recipes has the reader write."""


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_and_name_in_the_code_is_there(page: Path) -> None:
    for path, name in re.findall(FILE, TEXTS[page]):
        assert path == YOURS or (ROOT / path).is_file(), path
        assert not name or name in (ROOT / path).read_text(encoding="utf-8"), f"{path}: {name}"


@pytest.mark.parametrize(
    ("wanted", "path", "name"),
    [
        ("the contexts operator", "targen/operators/contexts.py", "@operator(CONTEXTS,"),
        ("a step's table schema", "targen/steps.py", "def schema("),
        ("a row's id", "targen/lineage/ids.py", "def instance_id("),
        ("self-BLEU", "targen/quality/self_similarity.py", "def self_bleu("),
        ("the report's verdict", "targen/quality/verdict.py", "def headline("),
        ("the lock of a partition", "targen/tables/locks.py", "class FileLock"),
        ("its lease in the database", "targen/store/partition_locks.py", "def take("),
        ("the simulator's pairs of RTE", "simulator/grammars/rte.py", "def instances("),
        ("the manifest of a release", "targen/release/manifest.py", "def _manifest("),
    ],
)
def test_the_architecture_page_names_the_file(wanted: str, path: str, name: str) -> None:
    assert f"`{path}" in TEXTS[ROOT / "docs/architecture.md"], wanted
    assert name in (ROOT / path).read_text(encoding="utf-8"), wanted
