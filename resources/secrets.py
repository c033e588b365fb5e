"""The API key in AWS Secrets Manager."""

import json
from typing import Any

from targen.errors import EndpointError
from targen.settings import variable


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
            f"The secret {name} cannot be read: {error}. See to {variable('api_key_secret')}, the "
            "region and the right secretsmanager:GetSecretValue."
        ) from None
    try:
        found = json.loads(text or "null")
    except ValueError:
        found = text
    key = found.get(variable("api_key")) if isinstance(found, dict) else found
    if not isinstance(key, str) or not key.strip():
        raise EndpointError(
            f"The secret {name} holds no key: its text must be the key, or JSON with the key "
            f"under {variable('api_key')}."
        )
    return key.strip()
