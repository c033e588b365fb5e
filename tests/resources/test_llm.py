"""The model's settings: where the completion store lies."""

import pytest

from resources.llm import LLMResource
from targen.errors import StoreError


def test_the_store_lies_in_the_data_folder() -> None:
    assert LLMResource(data_dir="/some/data").store_address() == (
        "sqlite:////some/data/completions.db"
    )


def test_a_named_store_counts() -> None:
    url = "postgresql+psycopg2://host/db"
    assert LLMResource(store_url=url, data_dir="s3://b/p").store_address() == url


def test_data_on_s3_needs_a_named_store() -> None:
    with pytest.raises(StoreError, match="TARGEN_STORE_URL"):
        LLMResource(data_dir="s3://bucket/prefix").store_address()
