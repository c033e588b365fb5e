"""Gaps in which rows repeat each other: templates, near duplicates, names."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from targen.operators.renaming import is_person, renamed
from targen.quality.duplicates import near_pairs
from targen.quality.intervals import wilson
from targen.quality.judgment import NEAR
from targen.quality.rules import RULES, percent
from targen.quality.text import joined, tokens
from targen.quality.uniformity import commonest_name, skeletons
from targen.quality.uniformity import templates as commonest_templates
from targen.targeting.gaps import Gap, View, harm
from targen.tasks.targets import GAP, Avoid

NOTED: Final = {rule.metric: rule.note for rule in RULES}
"""Metric -> share of rows from which the report has a finding."""
LEFT: Final = 0.5
"""Part of that share that remains after a round."""
NAMES: Final = 5
"""Names that are looked for one after the other."""
OPENING: Final = 3
"""First words of a near duplicate that its replacement must not have."""


def templates(view: View) -> list[Gap]:
    """Return, for each field, the rows in its ten commonest templates."""
    found, bound = [], NOTED["template_share"]
    for name in view.fields:
        figure = view.above("template_share", name, bound)
        if figure is None:
            continue
        own = tokens(view.rows, [name])
        common = dict(commonest_templates(own))
        of_rows = skeletons(own)
        seen: Counter[str] = Counter()
        repeats = []
        for row, skeleton in enumerate(of_rows):
            seen[skeleton] += skeleton in common
            if seen[skeleton] > 1:
                repeats.append(row)
        # Round after round of all templates, so that each keeps some of its rows.
        ranks = _ranks([of_rows[row] for row in repeats])
        repeats = [row for _, row in sorted(zip(ranks, repeats, strict=True), reverse=True)]
        shown = [one.replace("_", GAP) for one in common]
        share = figure["value"]
        found.append(
            Gap(
                "template",
                f"{percent(share)} of the texts in {name} follow {len(common)} templates, such as "
                f"“{shown[0]}”. Write texts that follow none of them.",
                "template_share",
                name,
                share,
                bound,
                round((share - LEFT * bound) * view.rows.height),
                repeats,
                harm(share, bound),
                figure["low"],
                figure["high"],
                {
                    "field": name,
                    "avoid": Avoid(templates=shown),
                    "rewrite_seed": view.rewrites(name),
                },
                others_count=True,
            )
        )
    return found


def _ranks(names: list[str]) -> list[int]:
    """Return how many equal names come before each."""
    seen: Counter[str] = Counter()
    ranks = []
    for name in names:
        ranks.append(seen[name])
        seen[name] += 1
    return ranks


def near_duplicates(view: View) -> list[Gap]:
    """Return the rows that are near duplicates of an earlier row."""
    figure = view.above("near_duplicates", "all", NEAR[1])
    if figure is None or not view.fields:
        return []
    pairs = near_pairs([joined(view.rows, [name]) for name in view.inputs.text_fields])
    keep = np.ones(pairs.first.size, dtype=bool)
    if view.inputs.pair_field is not None:
        pair = view.rows[view.inputs.pair_field].to_numpy()
        keep = pair[pairs.first] != pair[pairs.second]
    rows = np.unique(pairs.second[keep])
    field = view.fields[-1]
    texts = view.rows[field]
    openings = Counter(" ".join((texts[int(row)] or "").split()[:OPENING]) for row in rows)
    named = [text for text, count in openings.most_common(NAMES) if text and count > 1]
    share = figure["value"]
    return [
        Gap(
            "near_duplicates",
            f"{percent(share)} of the rows are near duplicates of an earlier row. Replace them by "
            "rows in other words.",
            "near_duplicates",
            "all",
            share,
            NEAR[1],
            round((share - LEFT * NEAR[1]) * view.rows.height),
            rows.tolist(),
            harm(share, NEAR[1]),
            figure["low"],
            figure["high"],
            {
                "field": field,
                "avoid": Avoid(openings=named),
                "rewrite_seed": bool(set(view.fields) & set(view.spec.seed_fields)),
            },
            others_count=True,
        )
    ]


def names(view: View) -> list[Gap]:
    """Find names that appear in too many rows."""
    bound = NOTED["repeated_name"]
    figure = view.above("repeated_name", "all", bound)
    if figure is None:
        return []
    texts, found = joined(view.rows, view.fields).fill_null(""), []
    for _ in range(NAMES):
        common = commonest_name(texts)
        if common is None or common[1] < bound * view.rows.height:
            break
        name, has = common[0], texts.str.contains(common[0], literal=True)
        # More than the report counts: it leaves out "Ask Ann Lee", which begins with a capital.
        count = int(has.sum())
        rows = has.arg_true().to_list()
        seeded = [one for one in view.fields if view.rewrites(one)]
        in_seed = joined(view.rows, seeded).fill_null("").str.contains(name, literal=True)
        share = count / view.rows.height
        low, high = wilson(count, view.rows.height)
        need = round(count - LEFT * bound * view.rows.height)
        by_code = _renameable(view, name, rows)
        rewrite: dict[str, Any] = {"rewrite_seed": bool(seeded) and 2 * int(in_seed.sum()) >= count}
        by_model = [row for row in rows if row not in by_code]
        for some, asks, what in (
            (by_code, {"edit": "rename"}, "Replace the name by others in these rows"),
            (by_model, rewrite, "Write rows without it"),
        ):
            found.append(
                Gap(
                    "name",
                    f"{percent(share)} of the rows have the name {name}. {what}.",
                    "repeated_name",
                    "all",
                    share,
                    bound,
                    min(need, len(some)),
                    some,
                    harm(share, bound),
                    low,
                    high,
                    {"avoid": Avoid(names=[name]), **asks},
                    others_count=True,
                )
            )
            need -= min(need, len(some))
        texts = pl.Series([text.replace(name, "") for text in texts], dtype=pl.String)
    return found


def _renameable(view: View, name: str, rows: Sequence[int]) -> list[int]:
    """Return the rows in which code can replace a name without a change of their labels."""
    spec = view.spec
    told = [spec.description, spec.answer.question or ""]
    told += [text for one in spec.labels.values() for text in (one.definition, one.constraint)]
    named = any(part.lower() in " ".join(told).lower() for part in name.split())
    texts = joined(view.rows, view.fields).fill_null("")
    if not spec.renames or named or not is_person([texts[row] for row in rows], name):
        return []
    ids = view.rows["instance_id"].to_list()
    before = {
        one
        for part in spec.rounds
        for target in part.approved
        for one in target.replaced
        if target.edit and name in target.avoid.names
    }
    some = view.rows[list(rows)].iter_rows(named=True)
    return [
        row
        for row, one in zip(rows, some, strict=True)
        if ids[row] not in before and renamed(one, spec.fields, name, ids[row])
    ]
