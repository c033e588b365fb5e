"""The engine that also embeds: what operators and the report are given."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from targen.llm.embeddings import Embeddings, Floats
from targen.llm.engine import Engine


class EmbeddingEngine(Engine):
    """An engine with an embedding model beside its chat model, over the same store and budget."""

    async def __aenter__(self) -> Self:
        """Open the store and the client; see `Engine`."""
        await super().__aenter__()
        self.embeddings = Embeddings(
            self.settings, self._store, self._writer, self._ledger, self._purse.budget, self.stats
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything; see `Engine`."""
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await self.embeddings.close()

    async def embed(self, texts: Sequence[str]) -> Floats:
        """Return one vector per text, (texts, dimensions); see `Embeddings.of`.

        Raises:
            NoEmbeddingsError: the endpoint gives none.
            EndpointError: the endpoint cannot be used at all.
            BudgetError: the budget is used up.
            StoreError: the completion store fails.
        """
        return await self.embeddings.of(texts)
