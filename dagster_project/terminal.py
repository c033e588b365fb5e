"""Progress bars on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from targen.llm.progress import Progress, watched


@contextmanager
def bars(stream: TextIO) -> Iterator[bool]:
    """Draw a progress bar for each step that calls a model, if the stream is a terminal.

    Yields:
        Whether bars are drawn.
    """
    if not stream.isatty():
        yield False
        return
    # Transient, because the line of the finished table replaces the bar.
    drawn = Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"),
        console=Console(file=stream),
        transient=True,
    )
    with drawn, watched(_Drawing(drawn)):
        yield True


class _Drawing:
    """Updates one bar per step."""

    def __init__(self, drawn: Bars) -> None:
        self._drawn = drawn
        self._shown: dict[tuple[str, str], TaskID] = {}

    def __call__(self, figures: Progress) -> None:
        key = (figures.task, figures.step)
        if figures.ended:
            known = self._shown.pop(key, None)
            if known is not None:
                self._drawn.remove_task(known)
            return
        if not figures.total and not figures.done:
            return
        if key not in self._shown:
            name = escape(f"{figures.task} {figures.step}")
            self._shown[key] = self._drawn.add_task(name, total=figures.total, words="")
        self._drawn.update(
            self._shown[key], total=figures.total, completed=figures.done, words=_words(figures)
        )


def _words(figures: Progress) -> str:
    words = [f"{figures.per_s:.1f} calls/s"]
    if figures.from_store:
        words.append(f"{figures.from_store} from the store")
    if figures.failed:
        words.append(f"{figures.failed} failed")
    words.append("cost unknown" if figures.cost_usd is None else f"${figures.cost_usd:.4f}")
    if figures.left_s is not None:
        minutes, seconds = divmod(round(figures.left_s), 60)
        words.append(f"{minutes}:{seconds:02d} left")
    return ", ".join(words)
