"""When a request is retried or given up, and when an endpoint counts as dead."""

from collections.abc import Callable
from typing import Any

from targen.errors import EndpointError
from targen.hashing import rng
from targen.llm import wire
from targen.llm.reply import Reply
from targen.llm.runs import Job
from targen.llm.settings import EngineSettings

MAX_ATTEMPTS = 6
"""Tries of one request; being throttled does not count as one."""

_FIRST_S = 0.5
_MOST_S = 20.0


def backoff(request_id: str, attempt: int, retry_after: float | None) -> float:
    """Return the seconds to wait before try `attempt` + 1: exponential with full jitter.

    The endpoint's own wish is the least that is waited. Source: "Exponential backoff and jitter",
    AWS Architecture Blog, 2015. The jitter follows from the request, not from a clock.
    """
    ceiling = min(_MOST_S, _FIRST_S * 2.0 ** (attempt - 1))
    jitter = rng(request_id, attempt).random()
    if retry_after is None:
        return ceiling * jitter
    # Spread behind the wished moment, or all come back in the same instant.
    return retry_after + min(ceiling, 1.0) * jitter


class Health:
    """Tells when an endpoint is dead: failures only, over enough time.

    An endpoint that has never answered is given up within seconds, one that has answered before
    gets half a minute to come back, and one that only throttles five minutes.
    """

    def __init__(self, fresh_s: float = 3.0, known_s: float = 30.0, throttled_s: float = 300.0):
        self.answered = False
        self._fresh_s, self._known_s, self._throttled_s = fresh_s, known_s, throttled_s
        self._since: float | None = None
        self._failures = 0
        self._throttled_since: float | None = None

    def good(self) -> None:
        """Record an answer, or a refusal that proves that the endpoint is up."""
        self.answered = True
        self._since = self._throttled_since = None
        self._failures = 0

    def bad(self, now: float, reply: Reply, still_open: int, address: str) -> str | None:
        """Note a failed call; return why the endpoint is dead, or None while there is hope.

        Args:
            now: monotonic seconds.
            reply: the failure.
            still_open: calls in flight, any of which may still be answered.
            address: the endpoint, as it is to be named.
        """
        if reply.kind == "throttled":
            self._throttled_since = self._throttled_since or now
            if now - self._throttled_since > self._throttled_s:
                return f"{address} refuses every call for its rate since {self._throttled_s:.0f} s"
            return None
        self._since = self._since or now
        self._failures += 1
        lasted = now - self._since
        if self.answered:
            hopeless = lasted > self._known_s and self._failures >= 10
        else:
            # A server that answers with errors may be starting up: wait longer than for a dead one.
            patience = self._fresh_s if reply.code == 0 else 3 * self._fresh_s
            hopeless = lasted > patience and self._failures >= 4 and still_open == 0
            hopeless = hopeless or (lasted > 2 * patience and self._failures >= 20)
        told = reply.message(address)
        return f"{told}; {self._failures} calls failed in a row" if hopeless else None


class Refusals:
    """Adapts requests to what an endpoint refuses, or stops the engine."""

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
        said = reply.message(self.base_url)
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
