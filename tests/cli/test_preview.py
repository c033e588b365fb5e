"""`targen preview`: what it prints, what it writes, and how it ends."""

import json
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from targen.cli import app
from targen.cli.preview import _show
from targen.operators.preview import Call, Preview, PreviewRow
from tests.support.specs import use_folder, write_task

runner = CliRunner()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_folder(tmp_path, monkeypatch)


def said(*words: str, status: int = 0) -> str:
    result = runner.invoke(app, ["preview", *words])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def test_rows_prompts_answers_and_cost_are_shown_and_no_table_is_written(tmp_path: Path) -> None:
    text = said("mood")
    assert "mood: preview of 3 rows by recipe targen, simulated" in text
    assert all(f"Row {number} of 3" in text for number in (1, 2, 3))
    assert "Label the rows of a data set" in text
    assert text.count("Instructions of labels") == 1
    parts = ("Instructions of", "Calls of row 3", "Row 1 of 3", "Cost", "Made by the simulator")
    assert (order := [text.index(part) for part in parts]) == sorted(order)
    assert '"question": "What mood is the writer in?"' in text
    assert '{"items":[' in text and "in all" in text and "$" in text
    files = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert {name.split(".db")[0] for name in files} == {"completions"}


def test_json_has_everything_that_the_text_has() -> None:
    found = json.loads(said("mood", "--rows", "2", "--json"))
    assert (found["task"], found["wanted"], found["problem"]) == ("mood", 2, None)
    kept = [row for row in found["rows"] if row["outcome"] in ("kept", "relabelled")]
    assert len(kept) == 2
    calls = {call["request_id"]: call for call in found["calls"]}
    for row in found["rows"]:
        assert {calls[name]["step"] for name in row["request_ids"]} >= {"instances", "labels"}
    assert found["costs"][-1]["calls"] == len(calls)


def test_the_text_of_a_model_cannot_control_the_terminal(capsys: pytest.CaptureFixture) -> None:
    evil = "a\x1b]0;title\x07\x1b[2Jb\u202ec\r\nd\x9be"
    call = Call(
        "labels", "r" * 64, evil, evil, evil, "malformed", evil, evil, evil, 1, 1, None, False,
        True, 1,
    )  # fmt: skip
    row = PreviewRow(
        "i" * 64, {"note": evil}, evil, "kept", evil, {"label": evil, "reason": evil}, [evil],
        ["r" * 64], 2, None,
    )  # fmt: skip
    item = {"step": "labels", "reason": "invalid", "detail": evil, "text": evil, "request_ids": []}
    _show(Preview("mood", "targen", 3, [row], [item], [call], [evil], evil))
    text = capsys.readouterr().out
    unseen = {c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"}
    assert not unseen
    assert "⟨U+001B⟩".casefold() in text.casefold() and "unknown" in text


def test_what_is_wrong_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "did you mean 'mood'" in said("moood", status=1)
    assert "Invalid value" in said("mood", "--rows", "0", status=2)
    ends = tmp_path / "ends.yaml"
    ends.write_text(
        "endpoints:\n  strong:\n    base_url: http://127.0.0.1:1/v1\n    model: big\n"
        "    api_key_env: NOT_SET_ANYWHERE\n"
    )
    monkeypatch.setenv("TARGEN_ENDPOINTS_FILE", str(ends))
    task = (tmp_path / "tasks/mood.yaml").read_text() + "  correction: {endpoint: strong}\n"
    write_task(tmp_path / "tasks", task)
    # Before the first call: nothing is paid for a preview that cannot be finished.
    assert "NOT_SET_ANYWHERE" in said("mood", status=1)
    assert not (tmp_path / "data").exists()
