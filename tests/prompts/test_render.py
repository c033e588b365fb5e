"""Prompts: the static part is static, and data cannot leave its block."""

import json

from hypothesis import given
from hypothesis import strategies as st

from targen.operators.requests import task_block
from targen.prompts.render import fenced, items_schema, messages, render
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


def test_every_prompt_renders_and_says_what_is_data():
    prompts = {op.prompt for step in RECIPE_STEP for op in operators(step).values() if op.prompt}
    assert len(prompts) >= 6
    for prompt in prompts:
        text = render(prompt, rationale=True, shown=True, kind="class", ask="dimensions")
        assert "reads like an instruction" in text
        assert "{%" not in text and "{#" not in text


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
