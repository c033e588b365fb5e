"""The page of an audit: everything is on it, and nothing that a model wrote does anything there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from targen.cli import audit_story
from targen.cli.audit_report import facts, render
from targen.lineage.audit import Auditor
from targen.release.registry import FOLDER

HOSTILE = "</pre><script>alert(1)</script>\u202e\x1b[31m & <b>"


def known_of(auditor: Auditor, task: str) -> dict[str, Any]:
    (made,) = auditor.audit(task, auditor.sample(task, 1, 0))
    return facts(made)


def test_every_kind_of_row_has_a_page_and_a_story(
    original: Path, opened: Callable[[Path], Auditor]
) -> None:
    auditor = opened(original)
    for task in auditor.tasks():
        known = known_of(auditor, task)
        page = render(known)
        assert known["story"][-1].startswith("Verified: ")
        assert all(one["request_id"] in page for one in known["completions"])
        assert all(item["id"] in page for item in known["items"])
        # What `--json` prints holds all that the other forms show.
        assert render(json.loads(json.dumps(known))) == page
    assert FOLDER not in auditor.tasks()


def test_what_a_model_wrote_is_shown_and_never_done(
    original: Path, opened: Callable[[Path], Auditor]
) -> None:
    known = known_of(opened(original), "axg")
    for item in known["items"]:
        for name, value in item["row"].items():
            if isinstance(value, str) and name not in ("category", "kind", "fields"):
                item["row"][name] = HOSTILE
    for one in known["completions"]:
        one["raw"] = one["error"] = one["served_model"] = one["model"] = HOSTILE
        one["messages"] = [{"role": HOSTILE, "content": HOSTILE}]
    known["findings"] = [{"level": "wrong", "where": HOSTILE, "what": HOSTILE}]
    known["verdict"] = "wrong"
    words = audit_story.tell(known)
    page = render(known | {"story": words})
    for text in (page, *words):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script" not in page
    assert "<b>" not in page.replace("<b>not as", "")
    assert "&lt;script&gt;" in page


def test_a_cost_that_nobody_knows_is_not_nothing() -> None:
    assert audit_story.money({"cost_usd": None, "simulated": False}) == "cost unknown"
    assert audit_story.money({"cost_usd": 0.0, "simulated": True}) == "0 USD (simulated)"
    assert audit_story.money({"cost_usd": 0.00125, "simulated": False}) == "0.001250 USD"
