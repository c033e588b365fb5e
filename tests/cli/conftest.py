from tests.llm.conftest import prices

__all__ = ["prices"]
