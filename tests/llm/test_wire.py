"""The body of a request, and how it follows what an endpoint refuses."""

import pytest

from targen.llm.types import Request, Sampling
from targen.llm.wire import Profile, adapted, body, first_profile, strict_fits, without_bounds
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
        "temperature": 0.5,
        "top_p": 0.9,
        "logprobs": True,
        "seed": 3,
        "user": "u",
    }


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


@pytest.mark.parametrize(
    ("param", "words", "change"),
    [
        ("max_tokens", "use 'max_completion_tokens' instead", {"token_name": "x"}),
        ("seed", "Extra inputs are not permitted", {"seed": False}),
        ("temperature", "Unsupported value", {"temperature": False}),
        ("", "`top_p` is not supported", {"top_p": False}),
        ("", "'minItems' is not permitted", {"bounds": False}),
        ("", "strict mode is not available", {"strict": False}),
        ("response_format", "not supported", {"format": "json_object"}),
        ("", "Your credit card", None),
    ],
)
def test_a_refusal_changes_what_it_speaks_of_and_nothing_else(
    param: str, words: str, change: dict[str, object] | None
) -> None:
    found = adapted(Profile(), param, words)
    if change is None:
        assert found is None
        return
    if "token_name" in change:
        change = {"token_name": "max_completion_tokens"}
    assert found == Profile(**change)  # type: ignore[arg-type]


def test_the_steps_down_end_with_plain_text() -> None:
    profile = adapted(Profile(format="json_object"), "response_format", "not supported")
    assert profile == Profile(format="text")
    assert adapted(profile, "response_format", "not supported") is None


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
