"""Swaps rows of the set for rows that were written for targets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from targen.tasks.answers import Label
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import Target

Unit = Sequence[Mapping[str, Any]]


def swap(
    spec: TaskSpec,
    units: Sequence[Unit],
    labels: Mapping[int, Label | None],
    chosen: set[int],
    wanted: int,
) -> dict[int, str]:
    """Add the rows of targets to the chosen units, each in place of a row that its target names.

    Rounds and targets go in their order. A row replaces one with the same label if there is one,
    and otherwise one of a label that has more rows, so that the balance never gets worse. A row
    with nothing to replace is left out. A row that was edited by code replaces the row that it was
    made from, and is left out if the readers give it another label.

    Args:
        spec: the task, with its rounds of targets.
        units: rows of each unit, in slot order.
        labels: index of a unit -> its final label, for the units that may be kept.
        chosen: the kept units of the plan; changed in place.
        wanted: number of units to keep.

    Returns:
        Index of each retired unit -> the id of the target that retired it.
    """
    targets = [one for round_ in spec.rounds for one in round_.approved]
    if not targets:
        return {}
    index_of = {row["instance_id"]: index for index, unit in enumerate(units) for row in unit}
    written: dict[str, list[int]] = {}
    for index in sorted(labels):
        target_id = units[index][0]["target_id"]
        if target_id is not None:
            written.setdefault(target_id, []).append(index)
    counts = Counter(str(labels[index]) for index in chosen)
    retired: dict[int, str] = {}
    for target in targets:
        victims = [index_of[name] for name in target.replaced if name in index_of]
        for index in written.get(target.target_id, ()):
            label = str(labels[index])
            if len(chosen) >= wanted or target.edit:
                if target.edit:
                    victims = [index_of[one] for one in units[index][0]["parent_ids"]]
                victim = _victim(target, label, victims, labels, chosen, counts)
                if victim is None:
                    continue
                chosen.remove(victim)
                counts[str(labels[victim])] -= 1
                retired[victim] = target.target_id
            chosen.add(index)
            counts[label] += 1
    return retired


def _victim(
    target: Target,
    label: str,
    victims: Sequence[int],
    labels: Mapping[int, Label | None],
    chosen: set[int],
    counts: Mapping[str, int],
) -> int | None:
    """Return the unit that a row with this label replaces, None if it must not replace any."""
    # A target without rows to replace is for a label that is short.
    known = [one for one in victims if one in chosen] if victims else sorted(chosen, reverse=True)
    if victims:
        same = next((one for one in known if str(labels[one]) == label), None)
        if same is not None or target.edit:
            return same
    larger = [one for one in known if counts[str(labels[one])] > counts[label]]
    return max(larger, key=lambda one: counts[str(labels[one])], default=None)
