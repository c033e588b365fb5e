"""SuperGLUE's files: keys, types and offsets, as loaders of SuperGLUE read them."""

import json
from typing import Any

import pytest

from targen.errors import TargenError
from targen.release import superglue
from targen.release.rows import finished, json_lines
from targen.tasks.loading import load_task
from tests.support.samples import PASSAGE, ROWS, corrected, corrected_of
from tests.support.specs import MOOD, RECIPES, TASKS, real_task, spec_of

KEYS = {
    "axg": {"premise": str, "hypothesis": str, "label": str, "idx": int, "pair_id": int},
    "boolq": {"question": str, "passage": str, "idx": int, "label": bool},
    "cb": {"premise": str, "hypothesis": str, "label": str, "idx": int},
    "copa": {
        "premise": str, "choice1": str, "choice2": str, "question": str, "label": int, "idx": int,
    },
    "record": {"source": str, "passage": dict, "qas": list, "idx": int},
    "rte": {"premise": str, "hypothesis": str, "label": str, "idx": int},
    "wic": {
        "word": str, "sentence1": str, "sentence2": str, "idx": int, "label": bool,
        "start1": int, "start2": int, "end1": int, "end2": int, "version": float,
    },
    "wsc": {"text": str, "target": dict, "idx": int, "label": bool},
}  # fmt: skip


def lines_of(task: str) -> list[dict[str, Any]]:
    spec, rows = corrected_of(task)
    text = json_lines(superglue.objects(superglue.format_of(spec), finished(spec, rows)))
    return [json.loads(line) for line in text.decode().splitlines()]


@pytest.mark.parametrize("task", KEYS)
def test_every_line_has_the_keys_of_the_task_in_order_and_their_types(task: str) -> None:
    lines = lines_of(task)
    assert [line["idx"] for line in lines] == list(range(len(ROWS[task])))
    for line in lines:
        # `is`, for True is an int as well.
        assert {key: type(value) for key, value in line.items()} == KEYS[task]
        assert list(line) == list(KEYS[task])


def test_labels_are_what_loaders_expect() -> None:
    assert [line["label"] for line in lines_of("boolq")] == [True, False]
    assert [line["label"] for line in lines_of("wic")] == [True, False]
    assert [line["label"] for line in lines_of("wsc")] == [True, False]
    assert [line["label"] for line in lines_of("copa")] == [0, 1]
    assert [line["label"] for line in lines_of("rte")] == ["entailment", "not_entailment"]


def test_wic_offsets_are_end_exclusive() -> None:
    for line in lines_of("wic"):
        for n in "12":
            cut = line[f"sentence{n}"][line[f"start{n}"] : line[f"end{n}"]]
            assert cut.startswith(line["word"])


def test_wsc_indices_count_tokens() -> None:
    for line in lines_of("wsc"):
        tokens, target = line["text"].split(), line["target"]
        assert list(target) == ["span2_index", "span1_index", "span1_text", "span2_text"]
        assert tokens[target["span2_index"]] == target["span2_text"]
        span = target["span1_text"].split()
        assert tokens[target["span1_index"] :][: len(span)] == span


def test_record_offsets_are_end_inclusive_and_all_mentions_are_there() -> None:
    line = lines_of("record")[0]
    text = line["passage"]["text"]
    cut = [text[entity["start"] : entity["end"] + 1] for entity in line["passage"]["entities"]]
    # The inn of Bonn is no mention, nor is the Ann of Ann Lee; the Lee alone is not an entity.
    assert cut == ["Ann Lee", "Ann", "Bonn", "Bonn", "Ann Lee"]
    (question,) = line["qas"]
    assert question["idx"] == 0 and question["query"].count("@placeholder") == 1
    assert [answer["text"] for answer in question["answers"]] == ["Bonn", "Bonn"]
    for answer in question["answers"]:
        assert text[answer["start"] : answer["end"] + 1] == answer["text"]
        assert list(answer) == ["start", "end", "text"]
    assert set(cut) == {"Ann", "Ann Lee", "Bonn"}


def test_record_answers_are_found_by_superglues_own_equality() -> None:
    (question,) = lines_of("record")[1]["qas"]
    assert [answer["text"] for answer in question["answers"]] == ["The Rio"]


def test_an_entity_that_stands_only_inside_a_longer_one_is_still_offered() -> None:
    found = superglue.mentions("Ann Lee left.", ["Lee", "Ann Lee"])
    assert found == [(0, 6, "Ann Lee"), (4, 6, "Lee")]
    assert superglue.mentions(PASSAGE, []) == []


def test_entities_are_text_and_no_patterns() -> None:
    assert superglue.mentions("A+ (b) A", ["A+", "(b)"]) == [(0, 1, "A+"), (3, 5, "(b)")]


def test_record_without_its_answer_is_an_error_that_names_the_row() -> None:
    spec = real_task("record")
    rows = corrected(spec, [{**ROWS["record"][0], "label": "Paris"}])
    with pytest.raises(TargenError, match="Row 0000000000000000 .*'Paris' is not an entity"):
        superglue.objects(superglue.format_of(spec), rows)


def test_files_have_superglues_names() -> None:
    spec, rows = corrected_of("boolq")
    parts = {"train": rows[:1], "validation": rows[1:], "test": rows[:1]}
    made = superglue.files(spec, parts)
    assert list(made) == ["BoolQ/train.jsonl", "BoolQ/val.jsonl", "BoolQ/test.jsonl"]
    assert all(lines[0]["idx"] == 0 for lines in made.values())


def test_the_diagnostic_set_is_one_file() -> None:
    spec, rows = corrected_of("axg")
    made = superglue.files(spec, {"train": rows[:2], "test": rows[2:]})
    assert list(made) == ["AX-g/AX-g.jsonl"]
    assert [line["pair_id"] for line in made["AX-g/AX-g.jsonl"]] == [0, 0, 1, 1]


def test_a_task_that_extends_one_of_the_eight_is_written_like_it() -> None:
    assert superglue.format_of(real_task("rte-zerogen")) is superglue.FORMATS["rte"]


def test_other_tasks_end_in_one_clear_error() -> None:
    with pytest.raises(
        TargenError, match="ticket_urgency has no SuperGLUE format; only axg, boolq"
    ):
        superglue.format_of(real_task("ticket_urgency"))


def test_a_task_of_a_known_name_that_is_another_task_is_refused(tmp_path) -> None:
    spec = spec_of(tmp_path, MOOD.replace("name: mood", "name: rte"))
    with pytest.raises(TargenError, match="needs a field premise of type text"):
        superglue.format_of(spec)


def test_labels_that_the_format_cannot_hold_are_refused(tmp_path) -> None:
    for file in TASKS.glob("rte.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "more.yaml").write_text(
        "name: more\nextends: rte\nanswer: {labels: {unclear: It is not clear.}}\n"
    )
    with pytest.raises(TargenError, match="RTE: its labels are .*unclear, those of RTE are ent"):
        superglue.format_of(load_task("more", tmp_path, RECIPES))
