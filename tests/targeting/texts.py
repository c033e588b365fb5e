"""Small sets of pairs of texts, in which labels depend on planted words."""

import polars as pl

from targen.hashing import rng
from targen.quality.inputs import for_task
from targen.steps import CORRECTED_SET
from targen.targeting.gaps import View
from tests.support.specs import real_task

KITCHEN = ["soup", "stew", "oven", "flour", "butter", "pepper", "onion", "kettle", "spoon"]
SPACE = ["rocket", "orbit", "comet", "lunar", "probe", "galaxy", "meteor", "saturn", "cosmos"]
FILLER = [f"{a}{b}{c}" for a in ("ba", "do", "ki") for b in ("lan", "mer", "sot") for c in "aeiou"]


def pairs(count, seed, hypothesis, words=KITCHEN, labels=("entailment", "not_entailment")):
    """Return rows whose hypothesis `hypothesis(label, words of the premise, random)` writes."""
    rows = []
    for i in range(count):
        random = rng("pairs", seed, i)
        label = labels[i % len(labels)]
        said = random.sample(words, 4) + random.sample(FILLER, 4)
        rows.append(
            {
                "instance_id": f"{seed:04x}{i:012x}",
                "premise": f"The {' '.join(said)} came.",
                "hypothesis": hypothesis(label, said, random),
                "label": label,
                "planned_way": None,
                "planned_difficulty": None,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"planned_difficulty": pl.String})


def plain(label, said, random):
    """Write a hypothesis that tells nothing."""
    del label
    return f"A {random.choice(said)} and a {random.choice(said)} came."


def view_of(rows, reference=None, pool=None):
    """Return the view of a set of the task rte, without figures of a report."""
    spec = real_task("rte", rows.height)
    inputs = for_task(spec, {CORRECTED_SET: rows}, reference=reference)
    return View(spec, inputs, {"figures": [], "cues": []}, pool)
