from tests.lineage.conftest import data, opened, original

__all__ = ["data", "opened", "original"]
