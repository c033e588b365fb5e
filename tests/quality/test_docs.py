"""The page of the docs names every metric of the code, and no other."""

import re

from targen.quality.metrics import METRICS, SECTIONS
from tests.support.specs import ROOT

DOC = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")


def emitted():
    """Names that the modules of the report give to figures, read from their source."""
    found = set()
    for file in (ROOT / "targen" / "quality").glob("*.py"):
        source = file.read_text(encoding="utf-8")
        found |= set(re.findall(r'(?:Measure|rate|proportion|_figure)\(\s*"([a-z_0-9]+)"', source))
        for name in re.findall(r'(?:Measure|_figure)\(\s*f"([a-z_]+)\{', source):
            endings = {"distinct_": "123", "flips_": ("annotated", "final")}[name]
            found |= {name + ending for ending in endings}
    # self_bleu and rouge_l_nearest are added in a loop over their functions.
    return found | {"self_bleu", "rouge_l_nearest"}


def test_the_docs_describe_every_metric_once_and_nothing_else():
    rows = [line.split("|")[1] for line in DOC.splitlines() if line.startswith("| `")]
    named = [name for cell in rows for name in re.findall(r"`([a-z_0-9]+)`", cell)]
    assert len(named) == len(set(named))
    assert set(named) == set(METRICS)


def test_the_list_of_metrics_is_what_the_code_emits():
    assert emitted() == set(METRICS)


def test_every_metric_has_its_section_and_stands_there_in_the_docs():
    placed = " ".join(SECTIONS.values()).split()
    assert sorted(placed) == sorted(METRICS)
    parts = [part for part in re.split(r"^## ", DOC, flags=re.M)[1:] if "| figure |" in part]
    assert len(parts) == len(SECTIONS)
    for part in parts:
        cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        names = set(re.findall(r"`([a-z_0-9]+)`", " ".join(cells)))
        held = [section for section, metrics in SECTIONS.items() if names == set(metrics.split())]
        assert len(held) == 1, part[:40]


def test_each_line_says_what_it_says_and_how():
    for line in DOC.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 4, line
            assert cells[1] and cells[2], line
