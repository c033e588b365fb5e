"""Adapts requests to what an endpoint refuses."""

from typing import Any

from targen.errors import EndpointError
from targen.llm import wire
from targen.llm.outage import Outage
from targen.llm.reply import Reply
from targen.llm.settings import EngineSettings
from targen.llm.types import Request


class Adapter:
    """What the models of one endpoint accept, learned from their refusals."""

    def __init__(self, settings: EngineSettings, base_url: str, outage: Outage) -> None:
        self._settings, self.base_url, self._outage = settings, base_url, outage
        self._profiles: dict[str, wire.Profile] = {}

    def body(self, request: Request) -> tuple[dict[str, Any], wire.Profile]:
        """Return the body of `request` and the profile that it was made with."""
        model = request.model or self._settings.model_name
        profile = self._profiles.setdefault(model, wire.first_profile(self.base_url))
        return wire.body(request, self._settings.model_name, profile), profile

    def adapt(self, request: Request, profile: wire.Profile, reply: Reply) -> bool:
        """Change the model's profile after a refusal; False if that is no help.

        Raises:
            EndpointError: no request with these parameters will be answered.
        """
        model = request.model or self._settings.model_name
        current = self._profiles[model]
        if current == profile:
            changed = wire.adapted(current, reply.param, reply.words)
            if changed is None:
                names = ["logprobs", *request.sampling.extra]
                named = [name for name in names if name in f"{reply.param} {reply.words}"]
                if named and not self._outage.answered:
                    raise EndpointError(
                        f"{model} does not take the parameter {named[0]!r}: "
                        f"{reply.words.rstrip('.')}. Leave it out of the recipe's or the task's "
                        "step."
                    )
                return False
            wire.LOGGER.info("%s refused %s: going on with %s", model, reply.words, changed)
            self._profiles[model] = changed
        return True

    def fatal_error(self, request: Request, reply: Reply) -> EndpointError | None:
        """Return why no request will be answered; None if only this one was refused."""
        if self._outage.answered and reply.code in (403, 404):
            return None
        advice = {
            401: key_advice(self._settings),
            402: "check the account's balance",
            403: "check the key's rights",
            404: f"check the base URL and the model name {self._settings.model_name!r}",
            429: "the account's quota is used up",
        }.get(reply.code, "check the settings")
        said = reply.message(self.base_url)
        please = "; " if reply.code == 429 else ". Please "
        return EndpointError(f"{said}{please}{advice}.")


def key_advice(settings: EngineSettings) -> str:
    """Return what to do about a key that is not taken."""
    if settings.key_variable is None:
        return (
            f"check the API key: the endpoint {settings.endpoint_name!r} has none, name its "
            "variable as api_key_env"
        )
    return f"check the API key ({settings.key_variable})"
