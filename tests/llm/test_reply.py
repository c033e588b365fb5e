"""What the replies of an endpoint mean."""

import base64
import email.utils
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targen.llm.reply import Answer, Reply, read, redacted, retry_after


def error(message: str, **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


@pytest.mark.parametrize(
    ("code", "content", "kind"),
    [
        (429, error("Rate limit reached", code="rate_limit_exceeded"), "throttled"),
        (429, error("You exceeded your quota", code="insufficient_quota"), "endpoint"),
        (501, error("not implemented"), "refused"),
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


@pytest.mark.parametrize(
    ("code", "content", "kind", "meant"),
    [
        (429, error("Pay", code="billing_not_active"), "endpoint", 402),
        (400, error("Limit", code="billing_hard_limit_reached"), "endpoint", 402),
        (429, error("Pay", type="exceeded_current_quota_error"), "endpoint", 429),
        (400, b'{"__type": "ThrottlingException", "message": "Too many"}', "throttled", 429),
        (403, error("Slow down", type="rate_limit_error"), "throttled", 429),
        (400, error("Bad", type="invalid_request_error"), "refused", 400),
    ],
)
def test_a_name_in_the_body_may_say_more_than_the_status(
    code: int, content: bytes, kind: str, meant: int
) -> None:
    reply = read(code, {}, content)
    assert (reply.kind, reply.code) == (kind, meant)


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
        (b'{"choices": []}', "not a chat completion but"),
        (b'{"choices": [null]}', "not a chat completion but"),
        (b"[" * 100_000, "not a chat completion but"),
        (b"\xff\xfe", "not a chat completion but"),
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


# Quota or rate.

BILLING = "Rate limit reached. Upgrade your plan, add a payment method or credit: /billing"


@pytest.mark.parametrize(
    "body",
    [
        error(BILLING, code="rate_limit_exceeded", type="tokens"),
        error(BILLING, type="requests", code=None),
        error("You exceeded your current quota, please check your plan and billing details"),
        error("insufficient_quota is what this is not", code=429),
        json.dumps([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]).encode(),
        BILLING.encode(),
        b"",
    ],
)
def test_words_about_money_do_not_make_a_rate_limit_final(body: bytes) -> None:
    assert read(429, {}, body).kind == "throttled"


@pytest.mark.parametrize("named", [{"code": "insufficient_quota"}, {"type": "insufficient_quota"}])
def test_a_quota_that_is_used_up_is_final(named: dict[str, str]) -> None:
    assert read(429, {}, error("no", **named)).kind == "endpoint"
    inside = read(200, {}, error("no", **named))
    assert (inside.kind, inside.code) == ("endpoint", 429)


def google(delay: Any) -> bytes:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return json.dumps([{"error": {"code": 429, "message": "no", "details": [detail]}}]).encode()


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, google("37s"), 37.0),
        ({}, google("1.5s"), 1.5),
        ({}, google({"seconds": 4, "nanos": 500_000_000}), 4.5),
        ({"retry-after": "2"}, google("37s"), 2.0),
        ({}, error("Please try again in 250ms."), 0.25),
        ({}, error("Please try again in 1.2s. Need more? Visit /billing"), 1.2),
        ({}, error("Please try again in 1m2.5s."), 62.5),
        ({}, error("Please retry after 20 seconds."), 20.0),
        ({}, error("no", retry_after=7), 7.0),
        ({}, error("no", retry_after_ms=700), 0.7),
        ({}, error("no", metadata={"headers": {"Retry-After": "9"}}), 9.0),
        ({}, error("no", retry_after="soon"), None),
        ({}, google("86400s"), 600.0),
        ({"retry-after": "500ms"}, b"", 0.5),
        ({"retry-after-ms": "abc", "retry-after": "3"}, b"", 3.0),
        ({}, error("try again in 3 places"), None),
    ],
)
def test_the_endpoint_says_how_long_to_wait(
    headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    assert read(429, headers, body).retry_after == seconds


# Errors inside a 200.


@pytest.mark.parametrize(
    ("inside", "kind", "code"),
    [
        ({"code": 429, "message": "Provider returned error"}, "throttled", 429),
        ({"code": "429", "message": "x"}, "throttled", 429),
        ({"code": 402, "message": "Insufficient credits"}, "endpoint", 402),
        ({"code": 401, "message": "No auth credentials found"}, "endpoint", 401),
        ({"code": 403, "message": "flagged", "type": "moderation"}, "filtered", 403),
        ({"code": 403, "message": "x", "metadata": {"flagged_input": "y"}}, "filtered", 403),
        ({"code": 400, "message": "maximum context length"}, "refused", 400),
        ({"code": 502, "message": "upstream died"}, "transient", 502),
        ({"code": "rate_limit_exceeded", "message": "x"}, "throttled", 429),
        ({"type": "rate_limit_error", "message": "x"}, "throttled", 429),
        ({"status": "RESOURCE_EXHAUSTED", "message": "x"}, "throttled", 429),
        ({"code": "server_error", "message": "x"}, "transient", 500),
        ({"type": "overloaded_error", "message": "Overloaded"}, "transient", 503),
        ({"status": "UNAVAILABLE"}, "transient", 503),
        ({"code": "invalid_api_key", "type": "invalid_request_error"}, "endpoint", 401),
        ({"type": "authentication_error", "message": "x"}, "endpoint", 401),
        ({"code": "insufficient_credits", "message": "x"}, "endpoint", 402),
        ({"code": "model_not_found", "message": "x"}, "endpoint", 404),
        ({"code": "content_filter", "message": "x"}, "filtered", 400),
        ({"code": "data_inspection_failed", "message": "x"}, "filtered", 400),
        ({"type": "BadRequestError", "message": "x"}, "refused", 400),
        ({"message": "a word that is unknown", "code": "weird"}, "transient", 200),
        ({"message": "overloaded"}, "transient", 200),
        ("the model is away", "transient", 200),
        ("rate_limit_exceeded", "throttled", 429),
    ],
)
def test_an_error_inside_a_200_counts_as_if_it_had_come_as_a_status(
    inside: Any, kind: str, code: int
) -> None:
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": "Hel"}}]})
    whole = json.dumps({"error": inside})
    half = {"message": {"content": "Hel"}, "finish_reason": "error", "error": inside}
    for body in (
        whole,
        f"[{whole}]",
        json.dumps({"error": inside, "choices": []}),
        json.dumps({"error": inside, "choices": [{"message": {"content": "Hel"}}]}),
        json.dumps({"choices": [half]}),
        f"data: {whole}\n\n",
        f"data: {chunk}\n\nevent: error\ndata: {whole}\n\ndata: [DONE]\n\n",
    ):
        reply = read(200, {}, body.encode())
        assert (reply.kind, reply.code, reply.answer) == (kind, code, None), body
        assert not reply.ambiguous
        assert reply.words


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, "refused"),
        ({"type": "error", "error": {"type": "overloaded_error"}}, "transient"),
        ({"detail": "Not authenticated", "status": 401}, "endpoint"),
        ({"detail": "busy"}, "transient"),
        ({"code": "Throttling", "message": "Requests rate limit exceeded"}, "throttled"),
    ],
)
def test_an_error_needs_no_key_of_that_name(body: Any, kind: str) -> None:
    reply = read(200, {}, json.dumps(body).encode())
    assert (reply.kind, reply.ambiguous) == (kind, False)


@pytest.mark.parametrize("warning", ["deprecated model", {"code": 0, "message": ""}, {}, None])
def test_a_warning_beside_a_complete_answer_does_not_lose_it(warning: Any) -> None:
    data = json.loads(completion())
    assert read(200, {}, json.dumps({**data, "error": warning}).encode()).answer is not None


def test_an_answer_that_the_endpoint_broke_off_is_asked_for_again() -> None:
    for reason in ("error", "abort", "insufficient_system_resource", "network_error"):
        reply = read(200, {}, completion(finish_reason=reason))
        assert (reply.kind, reply.ambiguous) == ("transient", True)


def test_a_validation_error_does_not_repeat_the_request() -> None:
    asked = {"messages": [{"content": "about seed and temperature"}]}
    complaint = {"loc": ["body", "frequency"], "msg": "Extra inputs", "input": asked}
    reply = read(422, {}, json.dumps({"detail": [complaint]}).encode())
    assert (reply.words, reply.param) == ("body.frequency: Extra inputs", "frequency")


# Streams.


def events(*deltas: dict[str, Any], finish: str | None = "stop", **last: Any) -> list[str]:
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta} for delta in deltas]
    made = [{"id": "c", "model": "m", "choices": [choice]} for choice in choices]
    if finish:
        made.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], **last})
    return [json.dumps(chunk) for chunk in made]


USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
HELLO = events({"role": "assistant", "content": "Hel"}, {"content": "lo"}, usage=USAGE)


@pytest.mark.parametrize(
    "body",
    [
        "".join(f"data: {event}\n\n" for event in HELLO) + "data: [DONE]\n\n",
        "".join(f"data: {event}\r\n\r\n" for event in HELLO) + "data: [DONE]\r\n\r\n",
        "".join(f"data:{event}\n" for event in HELLO) + "data: [DONE]",
        "\n".join(f"data: {event}" for event in HELLO),
        "\r".join(f"data: {event}" for event in HELLO),
        ": ping\n\n" + "".join(f": ping\nid: 1\nevent: x\ndata: {event}\n\n" for event in HELLO),
        "\ufeffretry: 5\n" + "".join(f"data: {event}\n\n" for event in HELLO),
        "".join("data: " + event.replace(", ", ",\ndata: ") + "\n\n" for event in HELLO),
    ],
)
def test_a_stream_is_one_answer(body: str) -> None:
    answer = read(200, {"content-type": "application/json"}, body.encode()).answer
    assert answer == Answer("Hello", "stop", None, 3, 2, "m", None, "c")


def test_a_stream_may_hold_everything_that_an_answer_holds() -> None:
    tokens = {"content": [{"logprob": -1.0}]}
    chunks = events({"refusal": "I "}, {"refusal": "cannot."}, finish="length")
    first = json.loads(chunks[0])
    first["choices"][0]["logprobs"] = tokens
    body = f"data: {json.dumps(first)}\n\n" + "".join(f"data: {c}\n\n" for c in chunks[1:])
    answer = read(200, {}, body.encode()).answer
    assert answer is not None
    assert (answer.refusal, answer.finish, answer.logprob) == ("I cannot.", "length", -1.0)


@pytest.mark.parametrize(
    "deltas",
    [
        [{"reasoning_content": '{"a"'}, {"reasoning_content": ": 1}"}],
        [{"content": [{"type": "thinking", "thinking": "x"}]}, {"content": '{"a": 1}'}],
        [
            {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
        ],
        [{"content": '{"a": '}, {"content": "1}"}],
    ],
)
def test_the_pieces_of_a_streamed_answer_belong_together(deltas: list[dict[str, Any]]) -> None:
    body = "".join(f"data: {event}\n\n" for event in events(*deltas))
    answer = read(200, {}, body.encode()).answer
    assert answer is not None
    assert json.loads(answer.text) == {"a": 1}


def test_halves_of_a_character_in_two_events_are_joined() -> None:
    body = "".join(f"data: {e}\n\n" for e in events({"content": "\ud83d"}, {"content": "\ude00"}))
    answer = read(200, {}, body.encode()).answer
    assert answer is not None
    assert answer.text == "\U0001f600"


@pytest.mark.parametrize(
    "body",
    [
        "".join(f"data: {event}\n\n" for event in events({"content": "Hel"}, finish=None)),
        f"data: {HELLO[0][:40]}",
        ": ping\n\n",
        "data: [DONE]\n\n",
    ],
)
def test_a_stream_that_was_cut_off_is_no_answer_and_may_have_been_paid(body: str) -> None:
    reply = read(200, {}, body.encode())
    assert (reply.kind, reply.ambiguous, reply.answer) == ("transient", True, None)
    assert reply.words == "the stream was cut off"


def test_a_whole_completion_may_come_as_an_event_or_behind_comments() -> None:
    for before in ("data: ", ": waiting\n\n: waiting\n\n", "\n\n\n  ", "\ufeff"):
        answer = read(200, {}, before.encode() + completion()).answer
        assert answer is not None and answer.text == "Hello"
    after = read(200, {}, completion() + b"\n{}").answer
    assert after is not None and after.text == "Hello"


# Where the answer is.


def message(**fields: Any) -> bytes:
    return json.dumps({"choices": [{"message": fields, "finish_reason": "stop"}]}).encode()


def text(content: bytes) -> str:
    answer = read(200, {}, content).answer
    assert answer is not None
    return answer.text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        (["a", {"type": "output_text", "text": "b", "annotations": []}], "ab"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}, "a"], "a"),
        ([{"type": "reasoning", "text": "x"}, {"type": "text", "text": "a"}], "a"),
        ([{"type": "reasoning", "summary": "x"}, {"type": "text", "text": "a"}], "a"),
        ([{"type": "text", "text": {"value": "a"}}], "a"),
        ([{"text": "a"}], "a"),
        ({"type": "text", "text": "a"}, "a"),
        ({"label": "yes"}, '{"label": "yes"}'),
        ({"text": "a"}, '{"text": "a"}'),
        ([{"label": "yes"}], '[{"label": "yes"}]'),
        (7, "7"),
        ([], ""),
        (None, ""),
    ],
)
def test_content_may_come_in_parts_or_parsed(content: Any, expected: str) -> None:
    assert text(message(content=content)) == expected


OBJECT = '{"label": "yes"}'


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": OBJECT},
        {"reasoning": OBJECT},
        {"parsed": {"label": "yes"}},
        {"tool_calls": [{"function": {"name": "f", "arguments": json.dumps(OBJECT)}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": OBJECT}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": {"label": "yes"}}}]},
        {"function_call": {"name": "f", "arguments": OBJECT}},
    ],
)
def test_an_answer_in_another_field_is_taken_if_content_is_empty(fields: Any) -> None:
    for empty in (None, "", "  \n", []):
        assert text(message(content=empty, **fields)) == OBJECT
    assert text(message(**fields)) == OBJECT
    assert text(message(content="no", **fields)) == "no"


@pytest.mark.parametrize("other", [f"Perhaps {OBJECT}", f"[{OBJECT}]", OBJECT[:-1], "", 7, None])
def test_reasoning_that_is_no_whole_object_is_no_answer(other: Any) -> None:
    assert text(message(content=None, reasoning_content=other, reasoning=other)) == ""


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_that_was_cut_off_is_a_draft(name: str) -> None:
    choice = {"message": {"content": "", name: OBJECT}, "finish_reason": "length"}
    assert text(json.dumps({"choices": [choice]}).encode()) == ""


def test_the_older_form_of_a_choice() -> None:
    for choice in ({"text": "a"}, {"text": "a", "message": None}, {"delta": {"content": "a"}}):
        assert text(json.dumps({"choices": [choice]}).encode()) == "a"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        *[(reason, "length") for reason in (
            "length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "max_length",
            "incomplete", "FINISH_REASON_MAX_TOKENS", "FinishReason.MAX_TOKENS", "maxTokens",
            "max_new_tokens", "model_context_window_exceeded", "token_limit", "LENGTH",
        )],
        *[(reason, "content_filter") for reason in (
            "content_filter", "SAFETY", "PROHIBITED_CONTENT", "RECITATION", "BLOCKLIST", "SPII",
            "invalid_prompt", "guardrail_intervened", "content-filter", "ContentFiltered",
            "sensitive", "IMAGE_SAFETY",
        )],
        *[(reason, "stop") for reason in (
            "stop", "end_turn", "eos", "eos_token", "stop_sequence", "tool_calls", "STOP",
            "complete", "COMPLETE", "function_call", None, "", 7, {"type": "stop"}, ["stop"],
        )],
        ("LANGUAGE", "language"),
        ("x" * 500, "x" * 32),
    ],
)  # fmt: skip
def test_finish_reasons_have_one_vocabulary(reason: Any, finish: str) -> None:
    answer = read(200, {}, completion(finish_reason=reason)).answer
    assert answer is not None
    assert answer.finish == finish


def test_a_filtered_choice_needs_no_message() -> None:
    answer = read(200, {}, b'{"choices": [{"finish_reason": "content_filter"}]}').answer
    assert answer == Answer("", "content_filter")


# Odd metadata.

ODD = ["null", '"12"', "1.5", "12.0", "-1", f"1{'0' * 30}", "true", "[]", "{}", '[{"a": 1}]', "NaN"]


@pytest.mark.parametrize("written", [*ODD, pytest.param("1" * 5000, id="many digits")])
def test_odd_metadata_never_loses_a_paid_answer(written: str) -> None:
    data = json.loads(completion())
    for name in ("usage", "model", "id", "system_fingerprint", "created", "object"):
        body = json.dumps({**data, name: "ODD"}).replace('"ODD"', written)
        answer = read(200, {}, body.encode()).answer
        assert answer is not None and answer.text == "Hello", name
        assert isinstance(answer.model, str)
        assert isinstance(answer.fingerprint, str | None)
        assert isinstance(answer.provider_id, str | None)
    usage = json.dumps({"prompt_tokens": "ODD", "completion_tokens": "ODD"})
    body = json.dumps({**data, "usage": "USE"}).replace('"USE"', usage).replace('"ODD"', written)
    answer = read(200, {}, body.encode()).answer
    assert answer is not None
    assert (answer.prompt_tokens, answer.completion_tokens) == (None, None)


@pytest.mark.parametrize(
    ("logprobs", "mean"),
    [
        (None, None), ([], None), ([{"a": 1}], None), ("x", None), ({"content": "x"}, None),
        ({"content": ["a", None]}, None),
        ({"content": [{"logprob": float("nan")}, {"logprob": "-1"}, {"logprob": True}]}, None),
        ({"content": [{"logprob": float("nan")}, {"logprob": -2.0}]}, -2.0),
        ({"content": [{"logprob": float("-inf")}, {"logprob": 5}]}, None),
        ({"tokens": ["a"], "token_logprobs": [None, -0.5]}, -0.5),
    ],
)  # fmt: skip
def test_odd_log_probabilities_are_left_out(logprobs: Any, mean: float | None) -> None:
    answer = read(200, {}, completion(logprobs=logprobs)).answer
    assert answer is not None
    assert answer.logprob == mean


def test_an_answer_without_tokens_was_not_counted() -> None:
    data = json.loads(completion())
    data["usage"] = {"prompt_tokens": 0, "completion_tokens": 0}
    answer = read(200, {}, json.dumps(data).encode()).answer
    assert answer is not None
    assert (answer.prompt_tokens, answer.completion_tokens) == (None, None)


# Texts that are no Unicode.


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b'"a \xff b"', "a \ufffd b"),
        (b'"a \\ud83d b"', "a \ufffd b"),
        (b'"a \\ude00 b"', "a \ufffd b"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"a\\u0000b"', "ab"),
        (b'"a\x00b"', "ab"),
        (b'"a\nb"', "a\nb"),
    ],
)
def test_what_is_no_text_is_replaced(written: bytes, text: str) -> None:
    body = completion(message={"content": "X"}).replace(b'"X"', written)
    answer = read(200, {}, body).answer
    assert answer is not None
    assert answer.text == text
    answer.text.encode()


# Secrets.

KEY = "sk-canary/47+11-ZwQ0123456789abcdefXYZ"


def escaped(form: Callable[[str], str]) -> str:
    return "".join(form(character) for character in KEY)


LEAKS = [
    KEY,
    KEY[:12],
    KEY[-12:],
    KEY[:20] + "...",
    quote(KEY, safe=""),
    quote(KEY, safe="").replace("%2F", "%2f"),
    escaped(lambda c: f"%{ord(c):02X}"),
    escaped(lambda c: f"\\u{ord(c):04x}"),
    escaped(lambda c: f"\\u{ord(c):04X}"),
    escaped(lambda c: f"\\\\u{ord(c):04x}"),
    "\\u0073" + KEY[1:],
    KEY.replace("/", "\\/"),
    escaped(lambda c: f"&#{ord(c)};"),
    base64.b64encode(KEY.encode()).decode(),
    base64.b64encode(f"user:{KEY}".encode()).decode(),
    base64.urlsafe_b64encode(f"Bearer {KEY}!".encode()).decode(),
]


@pytest.mark.parametrize("leak", LEAKS)
def test_no_form_of_the_key_survives(leak: str) -> None:
    told = redacted(f'You sent "{leak}".', KEY.encode())
    assert "[the API key]" in told
    assert leak not in told
    assert told.startswith('You sent "')
    escaped_again = json.dumps({"error": {"message": f"You sent {leak}"}})
    everything = escaped_again.replace("s", "\\u0073")
    replies: list[Reply] = [
        read(401, {}, error(f"You sent {leak}"), KEY.encode()),
        read(401, {}, everything.encode(), KEY.encode()),
        read(401, {}, f"<p>You sent {leak}</p>".encode(), KEY.encode()),
        read(200, {}, f"You sent {leak}".encode(), KEY.encode()),
        read(400, {}, error("no", param=leak), KEY.encode()),
        read(200, {}, error(f"You sent {leak}", code=401), KEY.encode()),
        read(200, {}, completion(message={"content": f"a {leak} b"}), KEY.encode()),
        read(200, {}, completion(message={"content": "", "refusal": leak}), KEY.encode()),
        read(200, {}, f"data: {json.dumps({'error': leak})}\n\n".encode(), KEY.encode()),
    ]
    # Longer names are not read at all.
    for field in ("model", "id", "system_fingerprint") if len(leak) <= 200 else ():
        data = {**json.loads(completion()), field: leak}
        replies.append(read(200, {}, json.dumps(data).encode(), KEY.encode()))
    for reply in replies:
        assert leak not in repr(reply)
        assert KEY[:12] not in repr(reply) and KEY[-12:] not in repr(reply)
        assert "[the API key]" in repr(reply)


def test_a_key_that_is_spread_over_the_events_of_a_stream_is_found() -> None:
    body = "".join(f"data: {e}\n\n" for e in events({"content": KEY[:9]}, {"content": KEY[9:]}))
    answer = read(200, {}, body.encode(), KEY.encode()).answer
    assert answer is not None and answer.text == "[the API key]"


def test_other_text_is_left_alone() -> None:
    for harmless in ("", "100% of \\n it", KEY[:11], '{"a": "say \\"x\\" \\u00e9"}', "none of it"):
        assert redacted(harmless, KEY.encode()) == harmless
    assert redacted("the word none", b"none") == "the word none"


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_key_is_found_in_any_text(before: str, after: str) -> None:
    assert KEY not in redacted(before + KEY + after, KEY.encode())


# Anything at all.


@given(st.binary(max_size=200), st.sampled_from([200, 302, 400, 429, 500]))
def test_no_body_breaks_the_reader(body: bytes, code: int) -> None:
    for content in (body, b"data: " + body, b'{"choices": [' + body + b"]}"):
        assert read(code, {}, content, KEY.encode()).kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "message", "content", "delta", "error", "code", "usage", "type", "text",
             "finish_reason", "logprobs", "details", "metadata", "tool_calls", "function", "detail"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON, JSON)
def test_no_shape_breaks_the_reader(data: Any, choice: Any) -> None:
    for body in (data, {"choices": [choice]}, {"choices": [{"message": choice}]}):
        for code in (200, 400):
            content = json.dumps(body).encode()
            assert read(code, {}, content, KEY.encode()).kind
            assert read(code, {}, b"data: " + content + b"\n\ndata: [DONE]", KEY.encode()).kind


@pytest.mark.parametrize(
    ("before", "unit", "count", "after"),
    [
        ("", "{", 1_000_000, ""),
        ("", "[", 1_000_000, ""),
        ("", '"', 1_000_000, ""),
        ("", "\\", 1_000_000, ""),
        ("", "data: {", 150_000, ""),
        ("", "data:\n", 150_000, ""),
        ('{"choices": [{"message": {"content": "', "\\\\", 400_000, '"}}]}'),
        ('{"choices": [{"message": {"content": "', KEY[:12], 60_000, '"}}]}'),
        ('{"error": "', "%73", 300_000, '"}'),
        ('{"error": {"message": "', "try again in 1m", 60_000, '"}}'),
    ],
)
def test_reading_takes_linear_time(before: str, unit: str, count: int, after: str) -> None:
    body = f"{before}{unit * count}{after}".encode()
    start = time.process_time()
    read(200, {}, body, KEY.encode())
    read(400, {}, body, KEY.encode())
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("usage", "more", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 1024}}, {}, 1024),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, {}, 0),
        ({"prompt_tokens_details": {"cached_tokens": 1536}}, {}, 1536),
        ({"prompt_tokens_details": {"cached_tokens": 1537}}, {}, None),
        ({"prompt_tokens_details": {"cached_tokens": -1}}, {}, None),
        ({"prompt_tokens_details": {"cached_tokens": "1024"}}, {}, None),
        ({"prompt_tokens_details": {"cached_tokens": True}}, {}, None),
        ({"prompt_tokens_details": {"cached_tokens": 12.5}}, {}, None),
        ({"prompt_tokens_details": [1024]}, {}, None),
        ({"prompt_tokens_details": None}, {}, None),
        ({"prompt_cache_hit_tokens": 512, "prompt_cache_miss_tokens": 1024}, {}, 512),
        ({"cache_read_input_tokens": 700, "cache_creation_input_tokens": 0}, {}, 700),
        ({"prompt_tokens_details": {}, "prompt_cache_hit_tokens": 512}, {}, 512),
        ({}, {"timings": {"cache_n": 236, "prompt_n": 1}}, 236),
        ({}, {"timings": {"cache_n": 9999}}, None),
        ({}, {"timings": "fast"}, None),
        ({}, {}, None),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_tokens_from_the_prompt_cache(
    usage: dict[str, Any], more: dict[str, Any], cached: int | None, streamed: bool
) -> None:
    message = {"role": "assistant", "content": "yes"}
    choice = {"index": 0, "finish_reason": "stop", "delta" if streamed else "message": message}
    data = {"choices": [choice], "usage": {"prompt_tokens": 1536, "completion_tokens": 2, **usage}}
    body = json.dumps({**data, **more})
    content = f"data: {body}\n\ndata: [DONE]\n\n" if streamed else body
    answer = read(200, {}, content.encode()).answer
    assert answer is not None
    assert (answer.prompt_tokens, answer.cached_tokens) == (1536, cached)


def test_cached_tokens_of_an_uncounted_prompt_are_unknown() -> None:
    choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": "many", "prompt_tokens_details": {"cached_tokens": 5}}
    answer = read(200, {}, json.dumps({"choices": [choice], "usage": usage}).encode()).answer
    assert answer is not None and answer.cached_tokens is None
