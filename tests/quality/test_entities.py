import sys

import polars as pl
import pytest

from targen.errors import TargenError
from targen.quality import entities, report
from targen.quality.collector import MetricCollector
from targen.quality.page import render
from tests.support.report_inputs import inputs


class Entity:
    def __init__(self, label, text):
        self.label_, self.text = label, text


class Model:
    """Stands for a pipeline: names every word with a capital a person, every number a date."""

    def pipe(self, texts):
        for text in texts:
            words = text.replace(",", " ").replace(".", " ").split()
            found = [Entity("PERSON", w) for w in words if w.istitle()]
            found += [Entity("DATE", w) for w in words if w.isdigit()]
            yield type("Doc", (), {"ents": found})()


def rows(*texts):
    return pl.DataFrame({"a": texts, "label": ["x"] * len(texts)})


def given(**changes):
    made = rows("Ada and Bo met in 1999", "Ada left", "nobody", "in 2001 and 2002")
    changes = {"entity_model": "some", "reference": rows("Cy", "nobody"), **changes}
    return inputs(
        1, fields={"a": "text"}, tables={"corrected_set": made}, rejected={}, labels=("x",),
        completions=None, rows_asked=None, **changes,
    )  # fmt: skip


def test_shares_by_type_count_rows_not_mentions(monkeypatch):
    monkeypatch.setattr(entities, "pipeline", lambda name: Model())
    sheet = MetricCollector()
    entities.measure(given(), sheet)
    person, date = sheet.get("entity", "PERSON"), sheet.get("entity", "DATE")
    assert (person.value, person.n, person.reference) == (0.5, 4, 0.5)
    assert (date.value, date.reference) == (0.5, 0.0)
    assert sheet.details["entities"] == {"PERSON": ["Ada", "Bo"], "DATE": ["1999", "2001", "2002"]}


def test_the_page_shows_them(monkeypatch):
    monkeypatch.setattr(entities, "pipeline", lambda name: Model())
    page = render(report.build(given()))
    assert "Rows that name an entity, by type" in page
    assert "Ada, Bo" in page


def test_a_pipeline_from_a_folder(tmp_path):
    spacy = pytest.importorskip("spacy")
    model = spacy.blank("en")
    model.add_pipe("entity_ruler").add_patterns([{"label": "ORG", "pattern": "Orion Textiles"}])
    model.to_disk(tmp_path / "own")
    found = entities.named(
        pl.Series(["Orion Textiles grew.", None, "Nobody."]),
        entities.pipeline(str(tmp_path / "own")),
    )
    assert found == [[("ORG", "Orion Textiles")], [], []]


def test_what_is_missing_is_said(monkeypatch):
    sheet = MetricCollector()
    entities.measure(given(entity_model=None), sheet)
    assert "word lists" in sheet.skipped["entity"]
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(TargenError, match=r"pip install spacy"):
        entities.measure(given(), sheet)


def test_a_pipeline_that_is_not_there_is_one_error():
    pytest.importorskip("spacy")
    with pytest.raises(TargenError, match="no pipeline 'no_such_model'"):
        entities.pipeline("no_such_model")
