"""How requests follow what an endpoint refuses: once for each feature, and by its own words."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from targen.errors import EndpointError
from targen.llm.adaptation import Adapter
from targen.llm.refusals import Refusal, largest_output
from targen.llm.reply import Reply, read
from targen.llm.settings import EngineSettings
from targen.llm.types import Request, Sampling
from targen.llm.wire import Profile
from tests.support.endpoint import (
    GOOD,
    SCHEMA,
    Endpoint,
    ask,
    completion,
    failure,
    number,
    request,
    requests,
)

EVERYTHING = Sampling(temperature=0.5, top_p=0.9, max_output_tokens=2048, logprobs=True)
PLAIN = Profile()


def changed(param: str, words: str, prompt: str = "Question 1") -> Profile | None:
    """Return the profile after one refusal, None if nothing is adapted."""
    adapter = Adapter(EngineSettings(model="m"), "http://localhost/v1")
    asked = Request(({"role": "user", "content": prompt},), SCHEMA, sampling=EVERYTHING)
    _, profile = adapter.body(asked)
    again = adapter.adapt(asked, profile, Reply("refused", words=words, param=param, code=400))
    found = adapter.body(asked)[1]
    assert again == (found != profile)
    return found if again else None


@pytest.mark.parametrize(
    ("param", "words", "change"),
    [
        ("max_tokens", "use 'max_completion_tokens' instead", {"token_name": "x"}),
        ("", "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
         "'max_completion_tokens' instead.", {"token_name": "x"}),
        ("", "Unrecognized request argument supplied: max_tokens", {"token_name": "x"}),
        ("seed", "Extra inputs are not permitted", {"seed": False}),
        ("body.seed", "Extra inputs are not permitted", {"seed": False}),
        ("", "property 'seed' is unsupported", {"seed": False}),
        ("", "Unrecognized request argument supplied: seed", {"seed": False}),
        ("", 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
         {"seed": False}),
        ("temperature", "Unsupported value", {"temperature": False}),
        ("", "Unsupported value: 'temperature' does not support 0.5 with this model. Only the "
         "default (1) value is supported.", {"temperature": False}),
        ("", "`temperature` and `top_p` cannot both be specified for this model.",
         {"top_p": False}),
        ("", "`top_p` is not supported", {"top_p": False}),
        ("", "logprobs is not supported with this model", {"logprobs": False}),
        ("", "'minItems' is not permitted", {"bounds": False}),
        ("response_format", "Invalid schema for response_format 'answer': In context=("
         "'properties', 'items'), 'minItems' is not permitted.", {"bounds": False}),
        ("", "strict mode is not available", {"strict": False}),
        ("response_format", "not supported", {"format": "json_object"}),
        ("", "This response_format type is unavailable now", {"format": "json_object"}),
        ("", "This model does not support response format `json_schema`. See supported models.",
         {"format": "json_object"}),
        ("", "Failed to parse grammar", {"format": "json_object"}),
        ("", "'response_format.type' must be 'json_object' or 'text'", {"format": "json_object"}),
        ("", "`responseSchema` specified incorrect schema: too much branching for serving.",
         {"format": "json_object"}),
        ("", "System role not supported", {"system": False}),
        ("", "Developer instruction is not enabled for this model", {"system": False}),
        ("", "Conversation roles must alternate user/assistant/user/assistant/...",
         {"system": False}),
        ("", "Only user and assistant roles are supported!", {"system": False}),
        ("response_format", "Invalid schema for response_format 'seed': In context=('properties', "
         "'temperature'), 'enum' with one value not permitted.", {"format": "json_object"}),
        # FastAPI, as JSON and as vLLM quotes it, with the whole request repeated.
        ("", "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not "
         "permitted', 'input': {'max_tokens': 5, 'temperature': 1}}]", {"seed": False}),
    ],
)  # fmt: skip
def test_a_refusal_changes_what_it_is_about_and_nothing_else(
    param: str, words: str, change: dict[str, Any]
) -> None:
    if "token_name" in change:
        change = {"token_name": "max_completion_tokens"}
    assert changed(param, words) == Profile(**change)


ECHO = json.dumps({"temperature": 1, "seed": 3, "max_tokens": 5, "response_format": SCHEMA})
LONG = (
    "Explain why the seed needs an unsupported temperature below zero in an unknown response_format"
)


@pytest.mark.parametrize(
    ("param", "words"),
    [
        ("", "Your credit card"),
        ("", "[{'type': 'extra_forbidden', 'loc': ['body', 'frequency'], 'msg': 'Extra inputs are "
         "not permitted', 'input': {'model': 'm', 'max_tokens': 5, 'seed"),
        ("", f"Extra inputs are not permitted: frequency in {ECHO}"),
        ("frequency", "Unsupported, beside temperature, seed and max_tokens"),
        ("messages[1].content", "Invalid 'messages[1].content': temperature seed"),
        ("", "Invalid 'messages[1].content': string contains invalid characters: seed top_p"),
        ("", f"Invalid characters in: {LONG}"),
        ("", f"Invalid characters in: {LONG[:70]}"),
        ("", "Unknown model. Its parameters: temperature, seed, top_p, response_format"),
        ("", "The weather is unknown. Tell me the temperature."),
        # No numbers to lower the limit by.
        ("", "'max_tokens' or 'max_completion_tokens' is too large"),
        ("", "This endpoint's maximum context length is 4096 tokens."),
        ("", "request (5000 tokens) exceeds the available context size (4096 tokens), try "
         "increasing it"),
        ("", "max_tokens must be at least 1, got -1."),
    ],
)  # fmt: skip
def test_words_that_repeat_the_request_change_nothing(param: str, words: str) -> None:
    assert changed(param, words, prompt=LONG) is None


@pytest.mark.parametrize(
    ("words", "most", "of_the_model"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
         "(904 in the messages, 4096 in the completion). Please reduce the length.", 3192, False),
        ("This model's maximum context length is 4,096 tokens. However, you requested 5,000 tokens",
         3192, False),
        ("'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context "
         "length is 2048 tokens and your request has 1800 input tokens (4096 > 2048 - 1800).",
         248, False),
        ("You passed 1800 input tokens and requested 4096 output tokens. However, the model's "
         "context length is only 4096 tokens", 2296, False),
        ("Requested token count exceeds the model's maximum context length of 4096 tokens. You "
         "requested a total of 5000 tokens: 904 tokens from the input messages and 4096 tokens for "
         "the completion.", 3192, False),
        ("This endpoint's maximum context length is 4096 tokens. However, you requested about 5000 "
         "tokens (904 of text input, 4096 in the output).", 3192, False),
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 904 "
         "`inputs` tokens and 4096 `max_new_tokens`", 3192, False),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 192000, decrease "
         "input length or `max_tokens` and try again", 2000, False),
        ("max_tokens: 4096 > 1024, which is the maximum allowed number of output tokens for c",
         1024, True),
        ("max_tokens is too large: 4096. This model supports at most 1024 completion tokens, "
         "whereas you provided 4096.", 1024, True),
        ("max_tokens must be less than or equal to 1024", 1024, True),
        ("`max_tokens` must be less than or equal to `1024`, the maximum value for `max_tokens` is "
         "less than the `context_window` for this model", 1024, True),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 1024]", 1024, True),
        ("The maximum tokens you requested exceeds the model limit of 1024. Try again with a "
         "maximum tokens value that is lower than 1024.", 1024, True),
        ("max_tokens=4096 cannot be greater than max_model_len=max_total_tokens=1024.", 1024, True),
    ],
)  # fmt: skip
def test_the_numbers_in_a_refusal_lower_the_limit(
    words: str, most: int, of_the_model: bool
) -> None:
    refusal = Refusal("", words, ())
    assert refusal.of_the_length
    assert largest_output(refusal, 4096) == (most, of_the_model)
    if "in the" in words or of_the_model:
        assert largest_output(refusal, most) is None


@pytest.mark.parametrize(
    ("code", "words", "adapted"),
    [
        (500, "Invalid JSON schema: failed to compile grammar", True),
        (501, "response_format json_schema is not implemented", True),
        (500, "Internal server error", False),
        (500, "seed is not supported", False),
        (403, "json_schema is not supported", False),
    ],
)
def test_some_servers_refuse_a_schema_with_an_error_of_their_own(
    code: int, words: str, adapted: bool
) -> None:
    adapter, asked = Adapter(EngineSettings(model="m"), "http://localhost/v1"), request(1)
    content = json.dumps({"error": {"message": words}}).encode()
    assert adapter.adapt(asked, adapter.body(asked)[1], read(code, {}, content)) == adapted


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (400, "Your credit balance is too low to access the API."),
        (400, "Billing hard limit has been reached"),
        (429, "Your account is not active, please check your billing details."),
        (429, "Insufficient balance or no resource package. Please recharge."),
        (400, "You are out of credits."),
    ],
)
async def test_an_account_that_cannot_pay_ends_the_run(
    settings: Any, code: int, words: str
) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        return failure(code, words) if number(body) > 2 else completion(GOOD)

    async with Endpoint(answer) as endpoint:
        with pytest.raises(EndpointError, match="Please check the account's balance"):
            await ask(settings(endpoint), requests(40))
        assert len(endpoint.bodies) < 40


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        ("Rate limit reached. Add a payment method to your account to raise it.", {}),
        ("Add 10 credits to unlock 1000 free requests per day.", {}),
        ("You are out of credits for this minute.", {"Retry-After": "3"}),
    ],
)
def test_a_rate_limit_that_mentions_money_is_waited_for(words: str, wait: dict[str, str]) -> None:
    adapter = Adapter(EngineSettings(model="m"), "http://localhost/v1")
    content = json.dumps({"error": {"message": words}}).encode()
    headers = {name.lower(): text for name, text in wait.items()}
    assert adapter.fatal_error(request(1), read(429, headers, content)) is None


def test_words_of_the_prompt_do_not_end_the_run() -> None:
    adapter = Adapter(EngineSettings(model="m"), "http://localhost/v1")
    said = "The bank wrote: insufficient funds, your account is suspended until Monday"
    asked = Request(({"role": "user", "content": said},), SCHEMA)
    reply = Reply("refused", words=f"Invalid characters in: {said}", code=400)
    assert adapter.fatal_error(asked, reply) is None


def test_the_steps_down_end_with_plain_text() -> None:
    adapter, asked = Adapter(EngineSettings(model="m"), "http://localhost/v1"), request(1)
    reply = Reply("refused", words="not supported", param="response_format", code=400)
    formats = []
    while adapter.adapt(asked, adapter.body(asked)[1], reply):
        formats.append(adapter.body(asked)[1].format)
    assert formats == ["json_object", "text"]


def _sent(body: dict[str, Any]) -> int:
    return int(body.get("max_tokens") or body["max_completion_tokens"])


def _vllm(body: dict[str, Any]) -> web.Response:
    n = _sent(body)
    words = (
        f"'max_tokens' or 'max_completion_tokens' is too large: {n}. This model's maximum context "
        f"length is 2048 tokens and your request has 1800 input tokens ({n} > 2048 - 1800)."
    )
    return failure(400, words)


def _echo(body: dict[str, Any]) -> web.Response:
    loc = ["body", "frequency"]
    detail = [{"loc": loc, "msg": "Extra inputs are not permitted", "input": body}]
    return web.json_response({"detail": detail}, status=422)


def _swing(body: dict[str, Any]) -> web.Response:
    name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
    return failure(400, f"Unsupported parameter: {name!r}", param=name)


def _everything(body: dict[str, Any]) -> web.Response:
    return failure(400, f"Unsupported: {', '.join(sorted(body))}")


@pytest.mark.parametrize("answer", [_vllm, _echo, _swing, _everything])
@pytest.mark.parametrize("count", [2, 300])
async def test_an_endpoint_that_always_refuses_ends_with_its_reason(
    settings: Any, answer: Callable[[dict[str, Any]], web.Response], count: int
) -> None:
    asked = requests(count, sampling=EVERYTHING)
    async with Endpoint(lambda body, endpoint: answer(body)) as endpoint:
        if count == 2:
            outcomes, _ = await ask(settings(endpoint), asked)
            assert {outcome.status for outcome in outcomes} == {"failed"}
            if answer is _vllm:
                assert "max_output_tokens (2048)" in str(outcomes[0].error)
            assert len(endpoint.bodies) <= 16
        else:
            with pytest.raises(EndpointError, match="^m at http.* refuses every request: ") as told:
                await ask(settings(endpoint), asked)
            assert ("max_output_tokens" in str(told.value)) == (answer is _vllm)
            assert len(endpoint.bodies) <= 80


async def test_refusals_of_a_few_stop_nothing(settings: Any) -> None:
    async def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        if number(body) < 6:
            return failure(400, "Invalid characters in the prompt")
        return completion(GOOD)

    async with Endpoint(answer, delay=0.05) as endpoint:
        outcomes, _ = await ask(settings(endpoint), requests(60))
        assert sum(outcome.status == "failed" for outcome in outcomes) == 6
        assert len(endpoint.bodies) == 60


async def test_each_refused_feature_is_left_out_once(settings: Any) -> None:
    refused = {
        "max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        "seed": "Unrecognized request argument supplied: seed",
        "temperature": "Unsupported value: 'temperature' does not support 0.5 with this model.",
        "top_p": "`top_p` is deprecated for this model",
    }

    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        if "logprobs" in body:
            return failure(403, "You are not allowed to request logprobs from this model.")
        name = next((name for name in refused if name in body), None)
        return failure(400, refused[name]) if name else completion(GOOD)

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint), requests(80, sampling=EVERYTHING))
        assert {outcome.status for outcome in outcomes} == {"ok"}
        # 5 features, each refused to what was in flight.
        assert len(endpoint.bodies) <= 80 + 5 * 10
        assert endpoint.bodies[-1].keys() == {
            "model", "messages", "max_completion_tokens", "stream", "response_format"
        }  # fmt: skip
        before = len(endpoint.bodies)
        await ask(settings(endpoint), requests(80, sampling=EVERYTHING))
        assert len(endpoint.bodies) == before


async def test_a_limit_of_the_model_is_remembered_and_one_of_a_prompt_is_not(
    settings: Any,
) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        limit = _sent(body)
        if limit > 1024:
            return failure(400, f"max_tokens must be less than or equal to 1024, not {limit}")
        if number(body) == 3 and limit > 300:
            words = f"{limit} in the completion"
            words = f"maximum context length is 2300 tokens: 2000 in the messages, {words}"
            return failure(400, words)
        return completion(GOOD)

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint, concurrency=1), requests(9, sampling=EVERYTHING))
        assert {outcome.status for outcome in outcomes} == {"ok"}
        sent = [(number(body), _sent(body)) for body in endpoint.bodies]
        assert sorted(sent) == sorted(
            [(sent[0][0], 2048), (3, 1024)] + [(n, 300 if n == 3 else 1024) for n in range(9)]
        )


def test_a_list_of_errors_is_read_as_it_comes_from_the_wire() -> None:
    loc = ["body", "seed"]
    error = {"type": "extra_forbidden", "loc": loc, "msg": "Extra inputs are not permitted"}
    content = json.dumps({"detail": [{**error, "input": {"temperature": 1}}]}).encode()
    reply = read(422, {}, content)
    assert changed(reply.param, reply.words) == Profile(seed=False)
