"""Recorded answers of real models: the parser reads each as it did when it was recorded."""

import json
from collections import Counter

import pytest
from jsonschema import Draft202012Validator

from targen.llm.structured import parse
from tests.support.recording import judged, load

RECORDED = load()


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_an_answer_is_read_as_recorded(number: int) -> None:
    one = RECORDED[number]
    assert judged(one["raw"], one["schema"]) == one["expected"], (one["task"], one["step"])


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_what_is_read_is_in_the_text_and_fits(number: int) -> None:
    one = RECORDED[number]
    found = parse(one["raw"], one["schema"])
    if found.error is None:
        Draft202012Validator(one["schema"]).validate(found.value)
    elif found.value is not None:
        item = Draft202012Validator(one["schema"]["properties"]["items"]["items"])
        assert found.value["items"]
        for value in found.value["items"]:
            item.validate(value)


def test_the_recording_is_varied() -> None:
    assert len(RECORDED) >= 100
    assert {one["model"] for one in RECORDED} == {"q05", "q15"}
    assert len({one["task"] for one in RECORDED}) >= 15
    assert len({one["step"] for one in RECORDED}) >= 5
    formats = Counter(one["format"] for one in RECORDED)
    assert min(formats.values()) >= 5
    assert set(formats) == {"json_schema", "json_object", "text"}
    kinds = Counter(one["expected"]["kind"] for one in RECORDED)
    assert min(kinds[kind] for kind in ("whole", "part", "nothing")) >= 10
    assert Counter(one["finish"] for one in RECORDED)["length"] >= 10


def test_every_answer_names_its_prompt_and_schema() -> None:
    for one in RECORDED:
        assert one["system"] and "```json" in one["user"]
        Draft202012Validator.check_schema(one["schema"])
        assert json.dumps(one["schema"])
