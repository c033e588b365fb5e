"""What an endpoint refuses, and what is done about it: adapt the requests, or stop."""

from collections.abc import Callable
from typing import Any

from targen.errors import EndpointError
from targen.llm import wire
from targen.llm.reply import Reply
from targen.llm.retry import Health
from targen.llm.runs import Job
from targen.llm.settings import EngineSettings


class Refusals:
    """The profiles of an engine's models, as far as the endpoint's refusals have told."""

    def __init__(
        self,
        settings: EngineSettings,
        base_url: str,
        health: Health,
        stop: Callable[[BaseException], None],
    ) -> None:
        """Make it; `stop` ends the engine because of an error."""
        self._settings, self.base_url = settings, base_url
        self._health, self._stop = health, stop
        self._profiles: dict[str, wire.Profile] = {}

    def body(self, job: Job) -> tuple[dict[str, Any], wire.Profile]:
        """Return the body of `job` and the profile that it was made with."""
        model = job.request.model or self._settings.model_name
        profile = self._profiles.setdefault(model, wire.first_profile(self.base_url))
        return wire.body(job.request, self._settings.model_name, profile), profile

    def adapt(self, job: Job, profile: wire.Profile, reply: Reply) -> bool:
        """Change the model's profile after a refusal; False if that is no help."""
        model = job.request.model or self._settings.model_name
        current = self._profiles[model]
        if current == profile:
            changed = wire.adapted(current, reply.param, reply.words)
            if changed is None:
                said = reply.words.rstrip(".")
                if not self._health.answered and (name := self._named(job, reply)):
                    self._stop(
                        EndpointError(
                            f"{model} does not take the parameter {name!r}: {said}. "
                            "Leave it out of the recipe's or the task's step."
                        )
                    )
                    return True
                return False
            wire.LOGGER.info("%s refused %s: going on with %s", model, reply.words, changed)
            self._profiles[model] = changed
        return True

    def _named(self, job: Job, reply: Reply) -> str | None:
        """Return the user's own parameter that a refusal names."""
        names = ["logprobs", *job.request.sampling.extra]
        return next((name for name in names if name in f"{reply.param} {reply.words}"), None)

    def dead(self, reply: Reply) -> bool:
        """Stop where the reply says that no request will be answered; False if only this one."""
        if self._health.answered and reply.code in (403, 404):
            return False
        advice = {
            401: key_advice(self._settings),
            402: "check the account's balance",
            403: "check the key's rights",
            404: f"check the base URL and the model name {self._settings.model_name!r}",
            429: "the account's quota is used up",
        }.get(reply.code, "check the settings")
        said = reply.told(self.base_url)
        please = "; " if reply.code == 429 else ". Please "
        self._stop(EndpointError(f"{said}{please}{advice}."))
        return True


def key_advice(settings: EngineSettings) -> str:
    """Return what to do about a key that is not taken."""
    if settings.key_variable is None:
        return (
            f"check the API key: the endpoint {settings.endpoint_name!r} has none, name its "
            "variable as api_key_env"
        )
    return f"check the API key ({settings.key_variable})"
