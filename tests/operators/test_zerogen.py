"""ZeroGen: first a condition without a label, then a text for a condition and a label."""

from collections import defaultdict

from tests.operators.test_generation import tables_of
from tests.support.models import block_of, random_model
from tests.support.specs import real_task


async def test_a_single_text_is_written_for_a_condition_that_knows_no_label():
    spec, model = real_task("sentiment-zerogen", rows=60), random_model()
    made = await tables_of(spec, model)
    stages = defaultdict(list)
    for request in model.history:
        stages["slots" if "slots" in block_of(request) else "wanted"].append(request)
        assert (request.sampling.temperature, request.sampling.top_p) == (1.0, 0.9)
    constraints = [label.constraint.strip() for label in spec.labels.values()]
    for request in stages["wanted"]:
        said = " ".join(message["content"] for message in request.messages)
        assert not any(constraint in said for constraint in constraints)
    labels = defaultdict(set)
    for request in stages["slots"]:
        (slot,) = block_of(request)["slots"]
        labels[slot["context"]["text"]].add(block_of(request)["label"]["name"])
    # Both labels share their conditions, as in the published code.
    assert set(labels) <= set(made["contexts"].table["text"])
    assert sum(len(names) == 2 for names in labels.values()) > len(labels) / 2
    assert len(made["corrected_set"].table) == 60


async def test_the_second_text_of_a_pair_is_written_for_the_first_and_the_label():
    spec, model = real_task("rte-zerogen", rows=20), random_model()
    made = await tables_of(spec, model)
    asked = [r for r in model.history if "slots" in block_of(r)]
    for request in asked:
        (slot,) = block_of(request)["slots"]
        assert set(slot["given"]) == {"premise"} and "context" not in slot
        item = request.schema["properties"]["items"]["items"]["properties"]
        assert "hypothesis" in item and "premise" not in item
        assert block_of(request)["label"]["name"] in spec.labels
    assert all(r.sampling.top_p == 0.9 for r in model.history)
    assert made["instances"].table["premise"].is_unique().all()
