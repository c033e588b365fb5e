"""Settings of the whole test suite."""

from hypothesis import settings

from tests.llm.conftest import prices

__all__ = ["prices"]

# Examples are drawn from the test's own source, and a slow machine is no failure.
settings.register_profile("targen", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("targen")
