"""Reads the API key from AWS Secrets Manager."""

import json
from typing import Any

from targen.errors import EndpointError
from targen.settings import variable


def from_secrets_manager(name: str, secrets: Any) -> str:
    """Return the endpoint's key from AWS Secrets Manager.

    Args:
        name: the secret's name or ARN. Its text is the key, or a JSON object with the key in
            OPENAI_API_KEY.
        secrets: dagster-aws's SecretsManagerResource.

    Raises:
        EndpointError: the secret does not exist, cannot be read, or contains no key.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import

    try:
        text = secrets.get_client().get_secret_value(SecretId=name).get("SecretString")
    except (BotoCoreError, ClientError) as error:
        raise EndpointError(
            f"The secret {name} cannot be read: {error}. Check {variable('api_key_secret')}, the "
            "region and the permission secretsmanager:GetSecretValue."
        ) from None
    try:
        found = json.loads(text or "null")
    except ValueError:
        found = text
    key = found.get(variable("api_key")) if isinstance(found, dict) else found
    if not isinstance(key, str) or not key.strip():
        raise EndpointError(
            f"The secret {name} contains no key: its text must be the key, or JSON with the key "
            f"under {variable('api_key')}."
        )
    return key.strip()
