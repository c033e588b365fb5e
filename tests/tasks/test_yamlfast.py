"""The quick parser gives what the exact one gives, or leaves the text to it."""

from pathlib import Path

import pytest

from targen.tasks import yamlfast, yamlfile
from targen.tasks.loading import load_task
from targen.tasks.yamlfile import YamlFile
from tests.support.specs import RECIPES

ROOT = Path(__file__).parents[2]
FILES = [*ROOT.glob("tasks/*.yaml"), *ROOT.glob("recipes/*.yaml")]
TEXTS = [
    "a: yes\nb: on\nc: No\nd: true\ne: TRUE\nf: ~\ng: null\nh:\n",
    "a: 012\nb: 0o14\nc: 0x1f\nd: 1_000\ne: 1:30\nf: -7\ng: +3\n",
    "a: 1e3\nb: 1.5\nc: .5\nd: -2.\ne: .inf\nf: .nan\ng: 1e-3\n",
    "a: 2026-01-02\nb: 2026-01-02T03:04:05Z\n",
    "a: =\nb: 'x''y'\nc: \"\\u00e4\\n\"\nd: >-\n  folded\n  text\ne: |+\n  kept\n\n",
    "a: [1, two, {three: 3}]\nb: {x: , y: z}\n1: number\ntrue: truth\n",
    "a: &x 1\nb: *x\n",
    "a: {<<: {b: 1}}\n",
    "a: !!set {b}\n",
    "a: 1\na: 2\n",
    "a:\n  b: 1\n  b: 2\n",
    "a:\tb\n",
    "a: b: c\n",
    "a: '\n",
    "---\na: 1\n---\nb: 2\n",
    "a: 99999999999999999999999\n",
    "a: %x\nb: 100%\nc: a*b\nd: r&d\n",
    "? a\n: b\n",
    "a: x #y\nb: x#y\n",
    "[a, b]",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_alike_or_left(text: str) -> None:
    try:
        found = yamlfast.parse(text)
    except yamlfast.UnusualError:
        return
    assert repr(found) == repr(yamlfile._plain(yamlfile._parsed(text)))


def test_shipped_files_are_read_alike() -> None:
    left = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        try:
            found = yamlfast.parse(text)
        except yamlfast.UnusualError:
            left.append(path.name)
            continue
        assert found == yamlfile._plain(yamlfile._parsed(text)), path
    assert len(left) < len(FILES) / 10, left


@pytest.mark.parametrize("deep", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_left(deep: str) -> None:
    with pytest.raises(yamlfast.UnusualError):
        yamlfast.parse(deep)


def test_lines_are_known_where_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# first\na: 1\nb:\n  c: 2\n")
    file = YamlFile(path)
    assert file._exact is None
    assert file.where(("b", "c")) == f"{path}:4: b.c"


def test_one_task_is_loaded_without_reading_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "tasks/rte.yaml").read_text(encoding="utf-8")
    for number in range(5):
        (tmp_path / f"t{number}.yaml").write_text(text.replace("name: rte", f"name: t{number}"))
    (tmp_path / "child.yaml").write_text("name: child\nextends: t1\nrows: 7\n")
    (tmp_path / "other_name.yaml").write_text(text.replace("name: rte", "name: odd"))
    read: list[str] = []
    opened = YamlFile.__init__

    def noted(self: YamlFile, path: Path, text: str | None = None) -> None:
        read.append(path.name)
        opened(self, path, text)

    monkeypatch.setattr(YamlFile, "__init__", noted)
    assert load_task("child", tmp_path, RECIPES).rows == 7
    assert {name for name in read if (tmp_path / name).exists()} == {"child.yaml", "t1.yaml"}
    assert load_task("odd", tmp_path, RECIPES).name == "odd"
