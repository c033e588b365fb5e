"""Settings that may hold a secret, as Dagster takes them, and secrets that are kept elsewhere."""

import json
from typing import Any

from dagster import EnvVar

from targen import environment
from targen.errors import EndpointError


def private(name: str) -> EnvVar | None:
    """Return a reference that is looked up only when a run needs it, or None where unset.

    Dagster shows and stores the variable's name instead of its value.
    """
    return EnvVar(name) if environment.optional(name) else None


def from_secrets_manager(name: str, secrets: Any) -> str:
    """Return the endpoint's key as AWS Secrets Manager keeps it.

    Args:
        name: the secret's name or ARN. Its text is the key, or a JSON object in which the key
            stands under OPENAI_API_KEY, as the console stores pairs.
        secrets: dagster-aws's SecretsManagerResource.

    Raises:
        EndpointError: there is no such secret, no right to read it, or no key in it.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import

    try:
        text = secrets.get_client().get_secret_value(SecretId=name).get("SecretString")
    except (BotoCoreError, ClientError) as error:
        raise EndpointError(
            f"The secret {name} cannot be read: {error}. See to {environment.API_KEY_SECRET}, the "
            "region and the right secretsmanager:GetSecretValue."
        ) from None
    try:
        found = json.loads(text or "null")
    except ValueError:
        found = text
    key = found.get(environment.API_KEY) if isinstance(found, dict) else found
    if not isinstance(key, str) or not key.strip():
        raise EndpointError(
            f"The secret {name} holds no key: its text must be the key, or JSON with the key "
            f"under {environment.API_KEY}."
        )
    return key.strip()
