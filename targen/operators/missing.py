"""Completions that tables cite but the store lacks, which a run would pay for again."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from targen.errors import StoreError
from targen.lineage.completions import cited_by
from targen.settings import variable
from targen.steps import QUALITY_REPORT, ROW_STEPS
from targen.store.completions import Store
from targen.tables.files import Tables

if TYPE_CHECKING:
    from targen.operators.estimate import Estimate


@dataclass(frozen=True)
class Missing:
    """The completions that some tables of a task cite and the store lacks.

    Attributes:
        task: the task.
        store: the store, as messages show it.
        cited: number of requests in the tables.
        steps: step -> how many of its requests are not in the store; only steps that lack any. A
            request of two steps counts for the first of them.
    """

    task: str
    store: str
    cited: int
    steps: dict[str, int]

    @property
    def count(self) -> int:
        """The number of missing completions."""
        return sum(self.steps.values())

    @property
    def share(self) -> float:
        """Their share of the cited ones, 0 to 1."""
        return self.count / self.cited if self.cited else 0.0

    def cost_usd(self, estimate: "Estimate") -> float | None:
        """Return the approximate cost of requesting them again, in US dollars.

        A call costs as much as the average call of its step in the estimate, or of all steps if the
        estimate has no call of that step. None if a price is unknown.
        """
        total = 0.0
        everything = [one for counts in estimate.steps.values() for one in counts]
        for step, count in self.steps.items():
            counts = estimate.steps.get(step, [])
            if not sum(one.calls for one in counts):
                counts = everything
            calls = sum(one.calls for one in counts)
            if not calls or any(one.cost_usd is None for one in counts):
                return None
            total += count * sum(one.cost_usd or 0.0 for one in counts) / calls
        return total

    def words(self, cost_usd: float | None) -> str:
        """Return the finding as a sentence or two."""
        cost = "at an unknown price" if cost_usd is None else f"for about ${cost_usd:,.2f}"
        return (
            f"{self.count:,} of the {self.cited:,} completions that the tables of {self.task} were "
            f"made from are not in the completion store {self.store}. Requesting them again costs "
            f"money: this run would do so {cost}."
        )

    def error(self, cost_usd: float | None) -> StoreError:
        """Return the error for a run that may not pay for them again."""
        name = variable("pay_again")
        return StoreError(
            f"{self.words(cost_usd)} Nothing was sent. Import a backup (`targen store import`), or "
            f"set {variable('store_url')} to the store that has them. To pay for them again, set "
            f"{name}=1."
        )


def missing(
    store: Store, tables: Tables, task: str, steps: Iterable[str], models: Collection[str]
) -> Missing:
    """Return which cited completions of a task the store lacks.

    Nothing is missing if the last report names other models only: then the run pays for the
    completions of its models for the first time.

    Raises:
        TableError: a table cannot be read.
        StoreError: the store cannot be read.
    """
    cited: dict[str, str] = {}
    for step in ROW_STEPS:
        # Later tables also cite the requests of earlier steps.
        for request_id in cited_by(tables.storage, step, task):
            cited.setdefault(request_id, step)
    chosen = {*steps}
    cited = {request_id: step for request_id, step in cited.items() if step in chosen}
    known = store.present(cited)
    counts: dict[str, int] = {}
    for request_id, step in cited.items():
        if request_id not in known:
            counts[step] = counts.get(step, 0) + 1
    if counts:
        report = tables.read_json(QUALITY_REPORT, task)
        if report is not None and not set(models) & set(report["models"]):
            counts = {}
    return Missing(task, store.shown, len(cited), counts)
