"""Settings of the whole Python process that hold while answers are on their way to a store."""

import gc
import sys

_SWITCH_S = 0.0002
_open = 0
_usual_switch_s = 0.0


def hurry() -> None:
    """Make pauses short until as many calls of `rest` have come.

    Threads take turns sooner: the driver gives the interpreter's lock up for every row; beside a
    busy event loop it would get it back only after Python's usual 5 ms each time. And the garbage
    collector leaves alone what is there already, modules above all: to look through it takes a
    tenth of a second, some times in a run.
    """
    global _open, _usual_switch_s  # noqa: PLW0603 (it is a setting of the process)
    if _open == 0:
        _usual_switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        gc.freeze()
    _open += 1


def rest() -> None:
    """Take one call of `hurry` back; with the last of them, all is as it was."""
    global _open  # noqa: PLW0603
    _open -= 1
    if _open == 0:
        sys.setswitchinterval(_usual_switch_s)
        gc.unfreeze()
