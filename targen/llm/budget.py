"""The money of one engine: what a request may cost and did cost, reserved and given back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from targen.errors import BudgetError
from targen.llm.prices import bound
from targen.llm.runs import Job
from targen.llm.settings import EngineSettings
from targen.llm.types import Request
from targen.store import batches
from targen.store.budgets import DOLLAR_DUST, BudgetLedger
from targen.store.ledger import ALL, Found, Ledger
from targen.store.writer import Writer


class Budget:
    """Prices requests, reserves their cost and releases reservations.

    Without a limit nothing is reserved.
    """

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: str,
        writer: Writer,
        ledger: Ledger,
        room: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            settings: of the engine.
            endpoint: the logical name.
            writer: of the engine.
            ledger: of the engine.
            room: called when something was given back: there may be room for one that waits.
        """
        self._settings, self._endpoint = settings, endpoint
        self._writer, self._ledger, self._room = writer, ledger, room
        ceilings = {
            ALL: settings.budget_usd,
            f"task:{settings.task}": settings.task_budget_usd,
        }
        known = {scope: usd for scope, usd in ceilings.items() if usd is not None}
        self.budget = BudgetLedger(ledger.owner, known) if known else None

    def claim(self, jobs: list[Job]) -> Callable[[sa.Connection], Found]:
        """Return the work that looks jobs up, claims what is new and reserves its money."""
        names = [job.request_id for job in jobs]
        look_up = self._ledger.find_or_claim(names)
        budget = self.budget
        amounts = {job.request_id: self.bound(job.request) for job in jobs} if budget else {}

        def work(connection: sa.Connection) -> Found:
            found = look_up(connection)
            missing = sorted(set(names) - set(found.known))
            batched = batches.under_way(connection, missing)
            found = replace(found, batched=batched)
            if budget is None:
                return found
            # First those whose money is spent already: a budget that a batch fills must not keep
            # its answers from being fetched.
            amounts.update(dict.fromkeys(batched, 0.0))
            claimed = [name for name in names if name in found.claimed]
            claimed.sort(key=lambda name: name not in batched)
            fit = budget.reserve(connection, [amounts[name] for name in claimed])
            held = set(claimed[:fit])
            for job in jobs:
                job.reserved = amounts[job.request_id] if job.request_id in held else 0.0
            self._ledger.release(claimed[fit:])(connection)
            if not claimed[fit:]:
                return found
            return replace(found, claimed=frozenset(held), short=budget.state(connection))

        return work

    def bound(self, request: Request) -> float:
        """Return the most a request can cost, in US dollars.

        Raises:
            BudgetError: the price is not known.
        """
        model = request.model or self._settings.model_name
        price = self._settings.price_of(request.model, self._endpoint)
        if price is None:
            raise BudgetError(
                f"A budget is set, but the price of {model} at {self._endpoint} is not known, so "
                "nothing was sent: add it to the file that TARGEN_PRICES names."
            )
        return bound(request, price, batch=self._settings.mode == "batch")

    def cost(
        self, request: Request, prompt: int | None, completion: int | None, batch: bool
    ) -> float | None:
        """Return what an answer cost, in US dollars; None where that is not known."""
        price = self._settings.price_of(request.model, self._endpoint)
        if self._settings.embedded:
            return 0.0
        if price is None or prompt is None or completion is None:
            return None
        return price.cost(prompt, completion, batch)

    def put(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store rows (see `Ledger.put`) and end the reservations that they hold in `back_usd`."""
        self._ledger.put(connection, rows)
        back = sum(row["back_usd"] for row in rows)
        if self.budget is not None and back:
            self.budget.give_back(connection, back)

    def settled(self, row: Mapping[str, Any]) -> None:
        """Take note that a row is stored."""
        if row["back_usd"]:
            self._room()

    def give_back(self, job: Job, charge: float = 0.0) -> None:
        """End a job's reservation; `charge` is what counts as spent although nothing came."""
        budget, reserved = self.budget, job.reserved
        if budget is None or not reserved:
            return
        job.reserved = 0.0

        def work(connection: sa.Connection) -> None:
            budget.give_back(connection, reserved)
            self._ledger.charge(connection, charge)

        # There may now be room for one that waits.
        self._writer.submit(work, lambda result: self._room())

    def short_error(self, short: Mapping[str, tuple[float, float]]) -> BudgetError | None:
        """Return why no call fits; None where one that is open may still give something back."""
        if self.budget is None or any(left > DOLLAR_DUST for _, left in short.values()):
            return None
        words = BudgetLedger.words(short, self.budget.ceilings)
        return BudgetError(
            f"The budget does not allow the next call ({words}). Everything paid for is "
            "stored: raise the budget, and the run goes on where it stopped."
        )
