"""Adapts requests to what an endpoint refuses."""

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from targen.errors import EndpointError
from targen.llm import wire
from targen.llm.refusals import ACCOUNT, Feature, Refusal, largest_output
from targen.llm.reply import Reply
from targen.llm.settings import EngineSettings
from targen.llm.types import Request
from targen.llm.wire import Profile

LOGGER = logging.getLogger("targen")

_LOWERED_MOST = 3
"""How often the output limit of one model or of one request is lowered."""

_REMEMBERED = 4096
"""Requests whose own output limits are remembered."""

_FEATURE_OF_STATUS: Mapping[int, Feature] = {403: "logprobs", 500: "format"}
"""The one feature that these statuses may refuse: OpenAI forbids log-probabilities with 403, and
some servers fail while they compile a schema."""

_SURE = 12
_SHARE = 0.75
"""Refusals alike, and their share of all calls, after which a model counts as unusable."""


@dataclass(slots=True)
class _Model:
    """What is known of one model.

    Attributes:
        profile: how requests are sent now.
        tried: what has been changed; nothing is changed twice.
        lowered: how often the output limit was lowered for all requests.
        sent: calls so far, without those that were sent again with another body.
        refused: refusals by their words.
    """

    profile: Profile
    tried: set[str] = field(default_factory=set)
    lowered: int = 0
    sent: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Adapter:
    """How requests are sent to the models of one endpoint, learned from what it refuses.

    Every feature changes at most once for a model, so the number of refused calls is bounded.
    """

    def __init__(self, settings: EngineSettings, base_url: str) -> None:
        self._settings, self.base_url = settings, base_url
        self._models: dict[str, _Model] = {}
        # By the request's id; the request is kept so that its id stays its own.
        self._own_limits: dict[int, tuple[Request, int, int]] = {}
        self._answered = False

    def body(self, request: Request) -> tuple[dict[str, Any], Profile]:
        """Return the JSON body of a request and the profile that it was made with."""
        model = self._model(request)
        model.sent += 1
        profile = self._profile(model, request)
        return wire.body(request, self._settings.model_name, profile), profile

    def answered(self) -> None:
        """Note that the endpoint has answered a request."""
        self._answered = True

    def adapt(self, request: Request, profile: Profile, reply: Reply) -> bool:
        """Adapt to a refusal.

        Returns:
            True if the request is to be sent again, with a new body.
        """
        if reply.kind != "refused" and reply.code not in _FEATURE_OF_STATUS:
            return False
        if not self._adapted(request, profile, reply):
            return False
        # It does not count as a call that told something about the model.
        self._model(request).sent -= 1
        return True

    def _adapted(self, request: Request, profile: Profile, reply: Reply) -> bool:
        refusal = Refusal(reply.param, reply.words, request.messages)
        only = _FEATURE_OF_STATUS.get(reply.code)
        if only is not None and refusal.about() != [only]:
            return False
        model = self._model(request)
        if replace(model.profile, most_output=None) != replace(profile, most_output=None):
            # Another refusal has changed it meanwhile.
            return True
        if refusal.of_the_length:
            if self._lower(model, request, profile, refusal):
                return True
            if not refusal.of_the_name:
                return False
        changes = _changes(model.profile, request, refusal)
        change = next((one for one in changes if one[0] not in model.tried), None)
        if change is None:
            return False
        model.tried.add(change[0])
        model.profile = change[1]
        words = "%s refused %s: going on with %s"
        LOGGER.info(words, self._name(request), reply.words, model.profile)
        return True

    def _lower(self, model: _Model, request: Request, profile: Profile, refusal: Refusal) -> bool:
        """Lower the output limit to what the numbers in a refusal allow; False if they do not."""
        sent = wire.output_limit(request, profile)
        found = largest_output(refusal, sent)
        _, own, times = self._own_limits.get(id(request), (None, sent, 0))
        if found is None or times >= _LOWERED_MOST:
            return False
        most, of_the_model = found
        if of_the_model and most < wire.output_limit(request, model.profile):
            if model.lowered >= _LOWERED_MOST:
                return False
            model.lowered += 1
            model.profile = replace(model.profile, most_output=most)
            LOGGER.info(
                "%s writes at most %d tokens: lowering max_output_tokens", self._name(request), most
            )
        while len(self._own_limits) >= _REMEMBERED:
            del self._own_limits[next(iter(self._own_limits))]
        self._own_limits[id(request)] = request, min(own, most), times + 1
        return True

    def of_an_outage(self, reply: Reply) -> Reply:
        """Return what a reply means after the endpoint has answered.

        A proxy whose server restarts answers with a page of its own: 404, or a redirect. Only an
        error that names the model is about the request.
        """
        away = reply.code == 404 or 300 <= reply.code < 400
        if reply.kind != "endpoint" or not away or not self._answered:
            return reply
        named = re.search(r"\b(?:model|deployment|endpoints?)\b", reply.words, re.IGNORECASE)
        return reply if named else replace(reply, kind="transient")

    def fatal_error(self, request: Request, reply: Reply) -> EndpointError | None:
        """Return why no request will be answered; None if only this one is not."""
        if self._unpaid(request, reply):
            said = reply.message(self.base_url)
            return EndpointError(f"{said}. Please check the account's balance.")
        if reply.kind == "refused":
            return self._refused_always(request, reply)
        if reply.kind != "endpoint":
            return None
        redirect = 300 <= reply.code < 400
        if self._answered and (reply.code in (403, 404) or redirect):
            return None
        advice = {
            401: key_advice(self._settings),
            402: "check the account's balance",
            403: "check the key's rights",
            407: "check the proxy's user name and password",
            404: f"check the base URL and the model name {self._settings.model_name!r}",
            429: "the account's quota is used up",
        }.get(reply.code, "check the base URL" if redirect else "check the settings")
        said = reply.message(self.base_url)
        please = "; " if reply.code == 429 else ". Please "
        return EndpointError(f"{said}{please}{advice}.")

    @staticmethod
    def _unpaid(request: Request, reply: Reply) -> bool:
        """Return whether an endpoint says in words only that the account cannot pay."""
        if reply.kind not in ("refused", "throttled", "transient", "failed"):
            return False
        if reply.kind == "throttled" and reply.retry_after is not None:
            return False
        # The words may repeat the prompt.
        return bool(
            ACCOUNT.search(reply.words)
            and Refusal(reply.param, reply.words, request.messages).of_the_account
        )

    def _refused_always(self, request: Request, reply: Reply) -> EndpointError | None:
        if self._answered:
            return None
        model, name = self._model(request), self._name(request)
        refusal = Refusal(reply.param, reply.words, request.messages)
        reason = self.reason(request, reply).rstrip(".")
        own = next((one for one in request.sampling.extra if refusal.names(one)), None)
        if own is not None:
            return EndpointError(
                f"{name} does not take the parameter {own!r}: {reason}. "
                "Leave it out of the recipe's or the task's step, or of the endpoint's `sampling`."
            )
        # Numbers and quotations differ from request to request.
        alike = re.sub(r"\d+|'[^']*'|\"[^\"]*\"|`[^`]*`", "", refusal.text)[:80]
        model.refused[alike] += 1
        count = model.refused[alike]
        if count < _SURE or count < _SHARE * model.sent:
            return None
        return EndpointError(f"{name} at {self.base_url} refuses every request: {reason}.")

    def reason(self, request: Request, reply: Reply) -> str:
        """Return why a request failed: the endpoint's words, and the setting to change."""
        refusal = Refusal(reply.param, reply.words, request.messages)
        if reply.kind != "refused" or not refusal.of_the_length:
            return reply.words
        limit = request.sampling.output_bound
        return (
            f"{reply.words.rstrip('.')}. The prompt and max_output_tokens ({limit}) are too long "
            "for the model: lower max_output_tokens, or use a model with a longer context."
        )

    def _name(self, request: Request) -> str:
        return request.model or self._settings.model_name

    def _model(self, request: Request) -> _Model:
        name = self._name(request)
        found = self._models.get(name)
        if found is None:
            found = self._models[name] = _Model(wire.first_profile(self.base_url))
        return found

    def _profile(self, model: _Model, request: Request) -> Profile:
        known = self._own_limits.get(id(request))
        if known is None or known[0] is not request:
            return model.profile
        most = min(known[1], wire.output_limit(request, model.profile))
        return replace(model.profile, most_output=most)


def _changes(profile: Profile, request: Request, refusal: Refusal) -> list[tuple[str, Profile]]:
    """Return what may be changed after a refusal: what it is about and what was sent."""
    sampling = request.sampling
    sent: Mapping[str, bool] = {
        "seed": profile.seed,
        "temperature": profile.temperature and sampling.temperature is not None,
        "top_p": profile.top_p and sampling.top_p is not None,
        "logprobs": profile.logprobs and sampling.logprobs,
    }
    found: list[tuple[str, Profile]] = []
    for feature in refusal.about():
        if feature == "token_name":
            if refusal.of_the_name and refusal.mentions(rf"\b{profile.token_name}\b"):
                other = wire.TOKEN_NAMES[1 - wire.TOKEN_NAMES.index(profile.token_name)]
                found.append((feature, replace(profile, token_name=other)))
        elif feature == "format":
            found += _plainer(profile, refusal)
        elif feature == "system":
            if profile.system:
                found.append((feature, replace(profile, system=False)))
        elif sent[feature]:
            without: dict[str, Any] = {feature: False}
            found.append((feature, replace(profile, **without)))
    return found


def _plainer(profile: Profile, refusal: Refusal) -> list[tuple[str, Profile]]:
    """Return the next plainer kind of structured output."""
    if profile.format == "text":
        return []
    if profile.format == "json_object":
        return [("text", replace(profile, format="text"))]
    if profile.bounds and refusal.mentions(r"minitems|maxitems"):
        return [("bounds", replace(profile, bounds=False))]
    if profile.strict and refusal.mentions(r"\bstrict\b"):
        return [("strict", replace(profile, strict=False))]
    return [("json_object", replace(profile, format="json_object"))]


def key_advice(settings: EngineSettings) -> str:
    """Return what to do about a key that is not accepted."""
    if settings.key_variable is None:
        return (
            f"check the API key: the endpoint {settings.endpoint_name!r} has none, name its "
            "variable as api_key_env"
        )
    return f"check the API key ({settings.key_variable})"
