"""What the simulator's writer does where a message asks for something."""

import pytest

from simulator.wishes import unmet

PREMISE = "Bob sails with 12 men."


@pytest.mark.parametrize(
    ("asked", "met", "not_met"),
    [
        ("State a number in `hypothesis`.", "He had 12.", "He had some."),
        ("State in `hypothesis` a number that is not in `premise`.", "He had 7.", "He had 12."),
        ("Use in `hypothesis` only content words of `premise`.", "Bob sails.", "Bob drowned."),
        ("Use in `hypothesis` mostly words that are not in `premise`.", "It sank.", "Bob sails."),
        ("Use a negation in `hypothesis`.", "It did not sink.", "It sank."),
        ("Use the word “sank” in `hypothesis`.", "It sank.", "It sinks."),
        ("Begin `hypothesis` with “it”.", "It sank.", "The ship sank."),
    ],
)
def test_a_demand_is_met_or_not(asked, met, not_met):
    lacks = unmet([asked], ["hypothesis"])
    assert not lacks({"premise": PREMISE, "hypothesis": met})
    assert lacks({"premise": PREMISE, "hypothesis": not_met})


def test_nothing_is_asked_of_fields_that_are_finished():
    assert unmet(["State a number in `premise`."], ["hypothesis"]) is None
    assert unmet(["Write 3 to 5 words in `hypothesis`."], ["hypothesis"]) is None
