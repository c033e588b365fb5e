"""The simulator knows only what the message says: a test for each part that can be missing.

Each test asks with and without one part of the message. Without it, the rows go wrong in the way in
which a real model's would.
"""

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from simulator.grammars import GRAMMARS
from simulator.grammars.stories import StoryGrammar
from simulator.grammars.tickets import WAYS
from simulator.recognizing import task_grammars
from simulator.truth import truth, truths
from simulator.words import entries
from targen.tasks.guards import fault
from tests.support.copa import explains
from tests.support.simulated import TEXT, Client, items_schema
from tests.support.simulated_tasks import TASKS, TICKETS, URGENCY
from tests.support.specs import TASKS as TASK_FILES
from tests.support.specs import real_task

NUMBER = {"type": "integer"}
CB = TASKS["cb"]
MATTER = "The oven in the bakery that Clara has run in Derby for 21 years broke down on Monday"
SPEAKER = "Liam, on the phone with Vera"
PREMISE = (
    "Alder Construction will rebuild the railway station in Derby from May, at a cost of 30 "
    "million pounds. Until the work is over, trains will stop at a temporary platform behind the "
    "goods yard."
)


def task_block(name: str) -> dict[str, Any]:
    """Return the task of a file as prompts show it."""
    spec = real_task(name)
    fields = {n: f.description for n, f in spec.fields.items() if not f.derived}
    return {"title": spec.title, "description": spec.description, "fields": fields}


def written(block: dict[str, Any], fields: tuple[str, ...], seed: int = 0) -> list[dict[str, Any]]:
    schema = items_schema({"slot": NUMBER, **dict.fromkeys(fields, TEXT)}, len(block["slots"]))
    return Client().ask(block, schema, seed)["items"]


def slots(count: int, **entry: Any) -> list[dict[str, Any]]:
    return [{"slot": n, **entry} for n in range(1, count + 1)]


def label_block(name: str, label: str, constraint: str | None = None) -> dict[str, str]:
    said = real_task(name).labels[label].constraint if constraint is None else constraint
    return {"name": label, "constraint": said}


def right_share(name: str, label: str, given: dict[str, Any], constraint: str | None) -> float:
    spec = real_task(name)
    open_fields = tuple(n for n, f in spec.fields.items() if n not in given and not f.derived)
    block = {
        "task": task_block(name),
        "label": label_block(name, label, constraint),
        "slots": slots(40, given={n: v for n, v in given.items() if n in spec.fields}),
    }
    names = [n for n, f in spec.fields.items() if not f.derived]
    rows = [{n: {**given, **item}.get(n) for n in names} for item in written(block, open_fields)]
    return sum(truth(row, list(spec.labels)) == label for row in rows) / len(rows)


@pytest.mark.parametrize(
    ("name", "label", "given"),
    [
        ("rte", "entailment", {"premise": PREMISE}),
        ("rte", "not_entailment", {"premise": PREMISE}),
        ("copa", "1", {"question": "cause"}),
        ("ticket_urgency", "critical", {}),
        ("sentiment", "negative", {}),
    ],
)
def test_without_the_constraint_the_label_is_guessed(
    name: str, label: str, given: dict[str, Any]
) -> None:
    count = len(real_task(name).labels)
    assert right_share(name, label, given, None) > 0.97
    assert right_share(name, label, given, "") < 0.3 + 1 / count


READ = ("rte", "cb", "axg", "wsc", "wic", "boolq", "sentiment")


@pytest.mark.parametrize("name", READ)
def test_a_constraint_decides_even_against_the_name_of_its_label(name: str) -> None:
    labels = real_task(name).label_constraints
    (grammar,) = [g for g in GRAMMARS if g.name == {"sentiment": "reviews"}.get(name, name)]
    assert set(grammar.reads) == set(labels)
    for label, constraint in labels.items():
        assert all(grammar.understood(other, constraint) == label for other in labels)


def test_swapped_constraints_swap_the_rows() -> None:
    labels = real_task("rte").label_constraints
    given = {"premise": PREMISE}
    for label, other in (("entailment", "not_entailment"), ("not_entailment", "entailment")):
        assert right_share("rte", label, given, labels[other]) == 0


def test_without_meanings_the_labels_of_single_slots_are_guessed() -> None:
    labels = list(real_task("rte").labels)

    def share(meanings: dict[str, str]) -> float:
        entries = [{"slot": n + 1, "label": labels[n % 2]} for n in range(40)]
        for one in entries:
            one["given"] = {"premise": PREMISE}
        block = {"task": task_block("rte"), "labels": meanings, "slots": entries}
        items = written(block, ("hypothesis",))
        rows = [{"premise": PREMISE, "hypothesis": item["hypothesis"]} for item in items]
        right = [truth(row, labels) == labels[n % 2] for n, row in enumerate(rows)]
        return sum(right) / len(right)

    assert share(real_task("rte").label_constraints) == 1
    assert share(dict.fromkeys(labels, "")) < 0.8


@pytest.mark.parametrize("first", [1, 2])
def test_the_constraint_says_which_choice_is_the_right_one(first: int) -> None:
    said = f"Make choice{first} the plausible one and choice{3 - first} not plausible."
    block = {
        "task": task_block("copa"),
        "label": {"name": "0", "constraint": said},
        "slots": slots(30, given={"question": "cause"}),
    }

    for item in written(block, ("premise", "choice1", "choice2")):
        assert explains(item["premise"], "cause", item[f"choice{first}"]), item


def test_without_the_excluded_features_stories_have_some_that_were_not_asked_for() -> None:
    spec = real_task("stories")
    absent = {n: one.absent for n, one in spec.labels.items() if n != "twist"}
    asked = {"twist": spec.labels["twist"].constraint}

    def features(**more: Any) -> Counter[str]:
        block = {"task": task_block("stories"), "slots": slots(40, labels=asked, **more)}
        texts = [item["story"] for item in written(block, ("story",))]
        return Counter(n for t in texts for n in truths({"story": t}, StoryGrammar.labels))

    assert features(without=absent) == {"twist": 40}
    found = features()
    assert found["twist"] == 40
    assert found["dialogue"] > 10
    assert found["moral_value"] > 3


def cb_block(seed: dict[str, Any], label: str = "neutral") -> dict[str, Any]:
    return {
        "task": task_block("cb"),
        "label": label_block("cb", label),
        "slots": slots(40, seed=seed),
    }


def test_without_the_operator_every_discourse_uses_the_usual_one() -> None:
    seed = {"speaker": SPEAKER, "matter": MATTER}
    asked = cb_block({**seed, "operator": "question"})
    items = written(asked, ("premise", "hypothesis"))
    assert all(item["premise"].endswith("?") for item in items)
    items = written(cb_block(seed), ("premise", "hypothesis"))
    assert not any(item["premise"].endswith("?") for item in items)


def test_without_the_seed_the_discourse_is_about_something_else() -> None:
    seed = {"speaker": SPEAKER, "matter": MATTER, "operator": "verb"}
    items = written(cb_block(seed), ("premise", "hypothesis"))
    assert all("oven" in item["premise"] for item in items)
    items = written(cb_block({}), ("premise", "hypothesis"))
    assert sum("oven" in item["premise"] for item in items) < 10


def test_without_the_premise_the_hypothesis_is_about_something_else() -> None:
    block = {"task": task_block("rte"), "label": label_block("rte", "entailment")}
    given = written({**block, "slots": slots(20, given={"premise": PREMISE})}, ("hypothesis",))
    alone = written({**block, "slots": slots(20)}, ("hypothesis",))
    about = re.compile(r"station|Derby|Alder|trains?|work|passengers|platform")
    assert all(about.search(item["hypothesis"]) for item in given)
    assert sum(bool(about.search(item["hypothesis"])) for item in alone) < 15


def seeds(name: str, plan: dict[str, str], context: dict[str, str]) -> list[dict[str, Any]]:
    spec = real_task(name)
    assert spec.seeds is not None
    described = {n: f.description for n, f in spec.seeds.fields.items()}
    block = {
        "task": {"title": spec.title, "description": spec.description},
        "wanted": {"what": spec.seeds.what, "kind": spec.seeds.kind, "fields": described},
        "context": {"text": " and ".join(context.values()), "attributes": context},
        "exclude": [],
        "items": [{"item": n, **plan} for n in range(1, 31)],
    }
    texts = {"type": "array", "items": TEXT}
    kinds = {n: texts if f.type == "texts" else TEXT for n, f in spec.seeds.fields.items()}
    return Client().ask(block, items_schema({"item": NUMBER, **kinds}, 30))["items"]


def test_without_the_case_the_pronoun_of_axg_is_the_subject() -> None:
    people = {"occupation": "nurse", "participant": "visitor"}
    plan = {"referent": "participant", "case": "possessive"}
    planned = seeds("axg", plan, people)
    assert all(re.search(r"\bhis\b", one["premise"], re.IGNORECASE) for one in planned)
    free = seeds("axg", {}, people)
    subjects = [re.search(r"\b(?:s?he)\b", one["premise"], re.IGNORECASE) for one in free]
    assert sum(map(bool, subjects)) > 20


def test_without_the_referent_the_first_noun_phrase_of_wsc_is_meant() -> None:
    pair = {"first": "the sculptor", "second": "the miller"}

    def meant(plan: dict[str, str]) -> Counter[int]:
        found: Counter[int] = Counter()
        for seed in seeds("wsc", plan, pair):
            given = {n: seed[n] for n in ("text", "span2_text")}
            block = {
                "task": task_block("wsc"),
                "label": label_block("wsc", "true"),
                "slots": slots(1, given=given, seed={"candidates": seed["candidates"], **plan}),
            }
            (item,) = written(block, ("span1_text",))
            found[seed["candidates"].index(item["span1_text"])] += 1
        return found

    assert set(meant({"referent": "second"})) == {1}
    assert meant({})[0] > 20


def test_the_way_decides_how_a_hypothesis_is_made() -> None:
    block = {"task": task_block("rte"), "label": label_block("rte", "entailment")}
    way = "combine two statements of the premise"
    given = {"premise": PREMISE}
    joined = written({**block, "slots": slots(20, given=given, way=way)}, ("hypothesis",))
    assert all(", and " in item["hypothesis"] for item in joined)
    free = written({**block, "slots": slots(20, given=given)}, ("hypothesis",))
    assert not any(", and " in item["hypothesis"] for item in free)


TICKET_WAYS = {
    label: {
        way: entries("tickets.txt")[f"{label} {word}"]
        for way, word in zip(one.ways, WAYS[label], strict=True)
    }
    for label, one in real_task("ticket_urgency").labels.items()
}


def test_the_way_decides_what_a_ticket_is_about() -> None:
    spec = real_task("ticket_urgency")
    block = {"task": task_block("ticket_urgency")}
    for label, one in spec.labels.items():
        for way in one.ways:
            asked = {**block, "label": label_block("ticket_urgency", label)}
            entry = {"seed": {"problem": "the map is empty", "effect": "the payroll in May"}}
            items = written({**asked, "slots": slots(9, way=way, **entry)}, ("subject", "body"))
            patterns = TICKET_WAYS[label][way]
            of_way = sum(any(told(one, item["body"]) for one in patterns) for item in items)
            # One row in a hundred has another label than was asked for.
            assert of_way >= 8, (way, [i["body"] for i in items])


def told(pattern: str, body: str) -> bool:
    """Return whether a body has a sentence of the grammar, whatever fills its slots."""
    plain = re.split(r"\{[^}]*\}|\[[^\]]*\]", pattern)
    return re.search(".+".join(map(re.escape, plain)), body) is not None


@pytest.mark.parametrize("constraints", ["file", "test"])
def test_no_text_of_an_unknown_task_quotes_its_instructions(constraints: str) -> None:
    spec = real_task("ticket_urgency")
    for label, one in spec.labels.items():
        said = one.constraint if constraints == "file" else URGENCY[label]
        block = {
            "task": task_block("ticket_urgency") if constraints == "file" else TICKETS,
            "label": {"name": label, "constraint": said, "definition": one.definition},
            "slots": slots(10, way=one.ways[0]),
        }
        for item in written(block, ("subject", "body")):
            fields = {n: item[n] for n in ("subject", "body")}
            assert fault(fields, spec, [said, *one.ways]) is None, fields


def test_ways_are_short_orders_that_read_alike_for_every_label() -> None:
    for path in sorted(TASK_FILES.glob("*.yaml")):
        answer = yaml.safe_load(path.read_text("utf-8")).get("answer") or {}
        labels = answer.get("labels") or {}
        listed = {n: one.get("ways") or [] for n, one in labels.items() if isinstance(one, dict)}
        listed["answer"] = answer.get("ways") or []
        for name, ways in listed.items():
            assert not ways or 3 <= len(ways) <= 6, (path.name, name)
            assert all(2 < len(way.split()) <= 20 and way[:1].islower() for way in ways), ways


KNOWN = {
    "axg": "axg", "boolq": "boolq", "cb": "cb", "copa": "copa", "record": "record", "rte": "rte",
    "sentiment": "reviews", "stories": "stories", "ticket_urgency": "tickets", "wic": "wic",
    "wsc": "wsc", "ticket_urgency-de": "german tickets", "ticket_entities": "entities",
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_tasks_are_recognized_by_their_words_if_the_fields_are_not_shown(name: str) -> None:
    spec = real_task(name)
    task = {"title": spec.title, "description": spec.description}
    attributes = {n: {"description": a.description} for n, a in spec.contexts.attributes.items()}
    wanted: dict[str, Any] = {"what": spec.contexts.what, "count": 3, "attributes": attributes}
    blocks: list[dict[str, Any]] = [{"task": task, "wanted": wanted}]
    if spec.seeds is not None:
        described = {n: f.description for n, f in spec.seeds.fields.items()}
        wanted = {"what": spec.seeds.what, "kind": spec.seeds.kind, "fields": described}
        blocks.append({"task": task, "wanted": wanted, "items": [{"item": 1}]})
    for block in blocks:
        found = [grammar.name for grammar in task_grammars(block)]
        assert (found or [None])[0] == KNOWN[name]
