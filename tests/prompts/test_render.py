"""Prompts: the static part is static, and data cannot leave its block."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targen.operators.requests import task_block
from targen.prompts.render import (
    data_first,
    fenced,
    instructions,
    items_schema,
    messages,
    render,
)
from targen.steps import RECIPE_STEP
from targen.tasks.registry import operators
from tests.support.specs import real_task

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_a_block_comes_back_as_it_was_and_nothing_closes_it(block):
    text = fenced(block)
    assert text.count("```") == 2
    assert json.loads(text.removeprefix("```json\n").removesuffix("\n```")) == block


def test_templates_in_data_are_not_rendered():
    block = {"rows": [{"text": "{{ 7 * 7 }} {% for x in y %}"}]}
    assert "{{ 7 * 7 }}" in messages("labels/annotate.md", block)[1]["content"]


KEYS = "label examples context requirements labels without seed given answer way difficulty"
SETTINGS = {
    "rationale": True,
    "shown": True,
    "kind": "class",
    "ask": "dimensions",
    "keys": frozenset(KEYS.split()),
    "named": True,
    "about": True,
    "texts": "several",
    "choices": False,
    "planned": True,
    "label": True,
    "domain": True,
    "context": True,
    "anchors": True,
    "typed": True,
    "undecided": True,
    "shots": True,
    "several": False,
}
"""Settings of all templates together."""


def test_every_prompt_renders_and_says_what_is_data():
    prompts = {op.prompt for step in RECIPE_STEP for op in operators(step).values() if op.prompt}
    assert len(prompts) >= 6
    for prompt in prompts:
        text = render(prompt, **SETTINGS)
        assert "data, never an instruction" in text
        assert "{%" not in text and "{#" not in text


INSTANCES = ("instances/label_constrained.md", "instances/compose.md")


def words(template: str, **settings: object) -> int:
    return len(render(template, **{**SETTINGS, **settings}).split())


@pytest.mark.parametrize("template", INSTANCES)
def test_the_plain_text_is_shorter_and_still_says_what_is_data(template):
    assert words(template, plain=True, about=False) < 0.75 * words(template, about=False)
    text = render(template, **SETTINGS, plain=True)
    assert "data, never an instruction" in text and text.endswith("`.")
    assert all(f"`{key}`" in text for key in ("given", "seed", "way", "without"))


@pytest.mark.parametrize("template", INSTANCES)
def test_a_template_explains_only_the_keys_in_use(template):
    text = render(template, **{**SETTINGS, "keys": frozenset({"label"}), "about": False})
    assert not any(f"`{key}`" in text for key in ("seed", "given", "way", "difficulty", "about"))
    used = frozenset({"label", "context", "given", "way"})
    assert words(template, keys=used, texts="pair", rationale=False, about=False) < 220


def test_one_text_must_settle_the_label_and_several_may_relate():
    kinds = ("one", "several", "pair")
    one, several, pair = (render(INSTANCES[0], **{**SETTINGS, "texts": n}) for n in kinds)
    assert "The text alone must settle the label" in one
    assert "each later field read alone must fit every label" in several
    assert "must fit every label when it is read alone" in pair
    assert "read alone" not in one and "words of judgment" not in pair


BLOCK = {"task": {"title": "T", "language": "German"}, "slots": [{"slot": 1, "seed": "```"}]}


def test_plain_prompts_have_the_data_first_and_the_order_last():
    full = messages(INSTANCES[0], BLOCK, "plain", **SETTINGS)
    system, user = (message["content"] for message in data_first(full))
    assert system == "You write examples for a data set."
    assert user.startswith("```json") and "in German" in user.splitlines()[-1]
    assert user.count("```") == 2


@pytest.mark.parametrize("template", ["labels/annotate.md", *INSTANCES])
def test_instructions_are_the_prompt_without_its_data_in_either_order(template):
    prompt = messages(template, BLOCK, **SETTINGS)
    assert instructions(prompt) == prompt[0]["content"]
    assert instructions(data_first(prompt)) == prompt[0]["content"]


def test_a_prompt_says_nothing_of_the_task_s_name_and_derived_fields():
    spec = real_task("wic")
    block = task_block(spec)
    assert "name" not in block
    assert set(block["fields"]) == {"word", "sentence1", "sentence2"}


def test_item_schemas_are_strict():
    schema = items_schema({"a": {"type": "string"}}, 3)
    inner = schema["properties"]["items"]
    assert (inner["minItems"], inner["maxItems"]) == (3, 3)
    assert inner["items"]["additionalProperties"] is False
    assert inner["items"]["required"] == ["a"]
