"""The body of a request, and how it follows what an endpoint refuses."""

import pytest

from targen.llm.types import Request, Sampling
from targen.llm.wire import Profile, body, first_profile, strict_fits, without_bounds
from tests.support.endpoint import SCHEMA, request


def test_the_body_holds_what_was_asked_for() -> None:
    sampling = Sampling(
        temperature=0.5, top_p=0.9, max_output_tokens=7, logprobs=True, extra={"user": "u"}
    )
    made = body(request(1, sampling=sampling, sample=3), "m", Profile())
    assert made.pop("response_format") == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
    assert made == {
        "model": "m",
        "messages": ({"role": "user", "content": "Question 1"},),
        "max_tokens": 7,
        "stream": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "logprobs": True,
        "seed": 3,
        "user": "u",
    }


def test_the_lowest_output_limit_counts() -> None:
    asked = request(1, sampling=Sampling(max_output_tokens=50))
    assert body(asked, "m", Profile(most_output=40))["max_tokens"] == 40
    assert body(asked, "m", Profile(most_output=60))["max_tokens"] == 50


def test_a_request_may_name_its_own_model() -> None:
    assert body(request(1, model="strong"), "m", Profile())["model"] == "strong"


def test_where_no_format_is_taken_the_schema_is_told_in_words() -> None:
    asked = request(1)
    made = body(asked, "m", Profile(format="text"))
    assert "response_format" not in made
    assert '"required": ["items"]' in made["messages"][0]["content"]
    # What the caller gave stays as it was.
    assert asked.messages[0]["content"] == "Question 1"
    alone = Request(({"role": "system", "content": "Be brief."},), SCHEMA)
    assert body(alone, "m", Profile(format="json_object"))["messages"][-1]["role"] == "user"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://localhost:8000/v1", "max_tokens"),
        ("http://localhost/openai.com", "max_tokens"),
    ],
)
def test_the_bound_has_the_name_that_the_server_knows(url: str, name: str) -> None:
    assert first_profile(url).token_name == name


def test_strict_mode_wants_closed_objects_with_every_property_required() -> None:
    assert strict_fits(SCHEMA)
    assert not strict_fits({**SCHEMA, "required": []})
    assert not strict_fits({"type": "object", "properties": {}, "required": []})


def test_a_property_that_is_called_like_a_bound_stays() -> None:
    schema = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "properties": {"minItems": {"type": "array", "maxItems": 2}}},
    }
    assert without_bounds(schema) == {
        "type": "array",
        "items": {"type": "object", "properties": {"minItems": {"type": "array"}}},
    }


def test_without_a_system_role_its_words_go_to_the_user_and_roles_alternate() -> None:
    messages = (
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two"},
        {"role": "user", "content": "Briefly."},
    )
    made = body(Request(messages, SCHEMA), "m", Profile(system=False, format="json_object"))
    assert [message["role"] for message in made["messages"]] == ["user", "assistant", "user"]
    assert made["messages"][0]["content"] == "Judge.\n\nOne"
    assert made["messages"][2]["content"].startswith("Two\n\nBriefly.\n\nAnswer with one JSON")
    assert len(messages) == 5 and messages[3]["content"] == "Two"
