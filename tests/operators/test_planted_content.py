"""No planted text that is not content comes through to the corrected set."""

from pathlib import Path

import pytest

from bench.planted_content import KINDS, TASKS, measure


@pytest.mark.parametrize("name", TASKS)
async def test_planted_texts_are_rejected_and_the_others_kept(name: str, tmp_path: Path) -> None:
    found = await measure(name, 40, tmp_path)
    assert found["rows"] == 40
    assert found["in_corrected_set"] == 0, found["passed"]
    assert not found["passed"]
    assert found["clean"]["rejected"] <= 0.01 * found["clean"]["items"], found["alarms"]
    planted = sum(kind["planted"] for kind in found["kinds"].values())
    assert planted >= 0.08 * (planted + found["clean"]["items"])
    assert sum(found["kinds"][kind]["planted"] > 0 for kind in KINDS) >= 6
    # The validators and the other checks of a row find some planted texts before the guards do.
    assert sum(found["reasons"].values()) >= planted - found["other_checks"] > 0.5 * planted
