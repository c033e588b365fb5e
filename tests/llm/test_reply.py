"""What the replies of an endpoint mean."""

import email.utils
import json
import time
from typing import Any

import pytest

from targen.llm.reply import read, retry_after


def error(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


@pytest.mark.parametrize(
    ("code", "content", "kind"),
    [
        (429, error("Rate limit reached", code="rate_limit_exceeded"), "throttled"),
        (429, error("You exceeded your quota", code="insufficient_quota"), "endpoint"),
        (408, b"", "transient"),
        (409, b"", "transient"),
        (500, b"<html>oops</html>", "transient"),
        (529, b"overloaded", "transient"),
        (400, error("no", code="content_filter"), "filtered"),
        (400, error("no", innererror={"code": "ResponsibleAIPolicyViolation"}), "filtered"),
        (400, error("bad parameter"), "refused"),
        (422, b'{"detail": [{"loc": ["body", "seed"]}]}', "refused"),
        (401, error("wrong key"), "endpoint"),
        (402, b"", "endpoint"),
        (403, b"", "endpoint"),
        (404, b"", "endpoint"),
        (413, b"", "failed"),
    ],
)
def test_every_status_has_its_meaning(code: int, content: bytes, kind: str) -> None:
    reply = read(code, {}, content)
    assert (reply.kind, reply.code, reply.answer) == (kind, code, None)
    assert reply.words


def completion(**choice: Any) -> bytes:
    made = {"message": {"content": "Hello"}, "finish_reason": "stop", **choice}
    return json.dumps({"choices": [made], "usage": {"prompt_tokens": 3}}).encode()


def test_an_answer_holds_what_the_endpoint_sent() -> None:
    tokens = [{"logprob": -1.0}, {"logprob": -2.0}, {"logprob": None}]
    answer = read(200, {}, completion(logprobs={"content": tokens})).answer
    assert answer is not None
    assert (answer.text, answer.finish, answer.logprob) == ("Hello", "stop", -1.5)
    # What was not counted is not known, and not 0.
    assert (answer.prompt_tokens, answer.completion_tokens) == (3, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>Gateway</title>", "lacks /v1"),
        (b'{"choices": []}', "no chat completion but"),
        (b'{"choices": [null]}', "no chat completion but"),
        (b"[" * 100_000, "no chat completion but"),
        (b"\xff\xfe", "no chat completion but"),
    ],
)
def test_what_is_no_completion_is_tried_again_and_may_have_been_paid(
    content: bytes, words: str
) -> None:
    reply = read(200, {}, content)
    assert (reply.kind, reply.ambiguous) == ("transient", True)
    assert words in reply.words
    assert len(reply.words) < 200


def test_an_error_names_its_parameter_and_quotes_little() -> None:
    reply = read(400, {}, error("x" * 5000, param="seed"))
    assert reply.param == "seed"
    assert len(reply.words) <= 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "86400"}, 600.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_to_wait_for() -> None:
    moment = email.utils.formatdate(time.time() + 30, usegmt=True)
    found = retry_after({"retry-after": moment})
    assert found is not None
    assert 27 < found <= 31
