"""Prints small tables on a terminal."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_NOT_A_TERMINAL = 10_000


def usd(amount: float | None) -> str:
    """Return an amount in US dollars, `unknown` where a price is missing."""
    if amount is None:
        return "unknown"
    # A whole run may cost less than a cent.
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"


def table(rows: Sequence[Mapping[str, Any]], headings: Sequence[str], foot: bool = False) -> None:
    """Print rows under their headings: numbers to the right, the rest to the left.

    Args:
        rows: column -> value; None is shown as a dash.
        headings: the columns, in order.
        foot: True where the last row is the sum of the others.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in headings:
        right = any(isinstance(row[name], int | float) or _money(row[name]) for row in rows)
        made.add_column(name, justify="right" if right else "left", no_wrap=True)
    for place, row in enumerate(rows, 1):
        style = "bold" if foot and place == len(rows) else None
        made.add_row(*(_cell(row[name]) for name in headings), style=style)
    # A pipe has no width: nothing may be cut off there.
    width = None if sys.stdout.isatty() else _NOT_A_TERMINAL
    Console(file=sys.stdout, width=width).print(made, soft_wrap=True)


def _money(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("$") or value == "unknown")


def _cell(value: Any) -> Text:
    # As text and not as markup: names come from files that anybody may have written.
    if value is None:
        return Text("-")
    return Text(f"{value:,}" if isinstance(value, int) else str(value))
