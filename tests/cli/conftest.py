from tests.audit.conftest import data, original

__all__ = ["data", "original"]
