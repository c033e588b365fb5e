"""Self-correction does something measurable, pooled over the eight tasks."""

from collections import Counter

from bench.correction import measure, shares


async def test_most_wrong_labels_end_right_or_dropped_and_few_right_ones_wrong():
    pooled: Counter[str] = Counter()
    for counts in (await measure(100)).values():
        pooled.update(counts)
    figures = shares(dict(pooled))
    assert pooled["wrong"] >= 40
    assert pooled["labels_that_differ_from_asking_all"] == 0
    assert figures["wrong_right_or_dropped"] >= 0.8
    assert figures["right_made_wrong"] <= 0.03
