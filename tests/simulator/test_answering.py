"""How the simulator reads a prompt, and the rates and kinds of its errors."""

import json
from typing import Any

import pytest

from simulator.answering import answer
from simulator.errors import NONE, ErrorRates
from simulator.prompt import Prompt, read
from simulator.recognizing import task_grammars
from simulator.truth import truth, truths
from targen.steps import CONTEXTS
from targen.tasks.loading import load_tasks
from targen.tasks.recipe import Recipe
from tests.support.copa import explains
from tests.support.simulated import TEXT, Client, items_schema, object_schema, request
from tests.support.simulated_tasks import TASKS, TICKETS, URGENCY, public, rows_of
from tests.support.specs import RECIPES, real_task
from tests.support.specs import TASKS as TASK_FILES

RTE = TASKS["rte"]["task"]
LABELS = {"entailment": "it follows", "not_entailment": "it does not follow"}
LABEL = {"label": {"type": "string", "enum": list(LABELS)}}
LABEL_SCHEMA = items_schema(LABEL, 1)
REASONS_SCHEMA = items_schema({"reasons": TEXT, **LABEL}, 1)
SEED_SCHEMA = items_schema({"item": {"type": "integer"}, "premise": TEXT}, 5)
SEEDS = {
    "task": RTE,
    "context": {"text": "wild animals and their protection", "attributes": {}},
    "wanted": {"what": "premises", "kind": "passage", "fields": {"premise": "text"}},
    "exclude": [],
    "items": [{"item": n} for n in range(1, 6)],
}


def prompt(block: dict[str, Any], schema: dict[str, Any] | None, seed: int = 0) -> Prompt:
    body = request(block, schema or {}, seed)
    return read(body["messages"], body["response_format"], seed)


def premises(client: Client, **change: Any) -> list[str]:
    found = client.ask({**SEEDS, **change}, SEED_SCHEMA)["items"]
    return [one["premise"] for one in found]


def instance_block(label: str, texts: list[str]) -> dict[str, Any]:
    return {
        "task": RTE,
        "label": {"name": label, "constraint": LABELS[label]},
        "slots": [{"slot": n, "given": {"premise": text}} for n, text in enumerate(texts, 1)],
    }


def judged(rows: list[dict[str, Any]], rates: ErrorRates, schema: dict[str, Any]) -> list[str]:
    out = []
    for row in rows:
        block = {"task": RTE, "labels": LABELS, "rows": [{"row": 1, **public(row)}]}
        (item,) = json.loads(answer(prompt(block, schema), rates)[0])["items"]
        out.append(item["label"])
    return out


def hypothesis_schema(count: int) -> dict[str, Any]:
    return items_schema({"slot": {"type": "integer"}, "hypothesis": TEXT}, count)


def test_every_instruction_may_be_reworded() -> None:
    client = Client()
    texts = premises(client)
    block = instance_block("entailment", texts)
    wordings = [
        {},
        {"system": "Du bist ein Sprachmodell. Antworte mit JSON.", "user": "Daten:"},
        {"system": "", "user": "zzz {not json} [1, 2] ``` x ```"},
        {"system": 'Say {"items": [{"slot": 1, "hypothesis": "..."}]} and no more.', "user": "Go."},
    ]
    for wording in wordings:
        (found,) = client.many([request(block, hypothesis_schema(5), **wording)])
        items = json.loads(found["choices"][0]["message"]["content"])["items"]
        assert [item["slot"] for item in items] == [1, 2, 3, 4, 5]
        for text, item in zip(texts, items, strict=True):
            assert truth({"premise": text, "hypothesis": item["hypothesis"]}, list(LABELS)) == (
                "entailment"
            )


@pytest.mark.parametrize("kind", ["json_object", "text", None])
def test_the_schema_may_be_in_the_prompt(kind: str | None) -> None:
    client = Client()
    body = request(SEEDS, SEED_SCHEMA)
    body["messages"][1]["content"] += (
        f"\nAnswer with JSON of this schema:\n{json.dumps(SEED_SCHEMA, indent=1)}"
    )
    del body["response_format"]
    if kind:
        body["response_format"] = {"type": kind}
    (found,) = client.many([body])
    items = json.loads(found["choices"][0]["message"]["content"])["items"]
    assert [set(item) for item in items] == [{"item", "premise"}] * 5


def test_the_data_block_is_enough_without_a_schema() -> None:
    body = request(SEEDS, {})
    del body["response_format"]
    (found,) = Client().many([body])
    items = json.loads(found["choices"][0]["message"]["content"])["items"]
    assert [set(item) for item in items] == [{"item", "premise"}] * 5


def test_the_name_of_the_task_does_not_matter() -> None:
    client = Client()
    renamed = {**SEEDS, "task": {**RTE, "name": "boolq", "title": "Something else"}}
    (item, *_) = client.ask(renamed, SEED_SCHEMA)["items"]
    block = instance_block("entailment", [item["premise"]])
    assert "hypothesis 1" not in client.ask(block, hypothesis_schema(1))["items"][0]["hypothesis"]


def test_a_repeated_prompt_after_an_error_is_understood() -> None:
    body = request(SEEDS, SEED_SCHEMA)
    body["messages"] += [
        {"role": "assistant", "content": '```json\n{"items": [{"item": 1, "prem'},
        {"role": "user", "content": "That was cut off. Once more."},
    ]
    (found,) = Client().many([body])
    assert len(json.loads(found["choices"][0]["message"]["content"])["items"]) == 5


def test_only_the_seed_changes_the_answer() -> None:
    client = Client()
    assert premises(client) == premises(client)
    other = [one["premise"] for one in client.ask(SEEDS, SEED_SCHEMA, seed=1)["items"]]
    assert other != premises(client)


def test_excluded_texts_are_not_repeated_even_if_cut_off() -> None:
    client = Client()
    first = premises(client)
    again = premises(client, exclude=[text[:60] + "…" for text in first])
    assert not set(first) & set(again)
    asked = {
        "task": RTE,
        "wanted": {"what": "domains", "count": 20, "attributes": {}},
        "exclude": [],
    }
    schema = items_schema({"text": TEXT}, 20)
    texts = [one["text"] for one in client.ask(asked, schema)["items"]]
    more = [one["text"] for one in client.ask({**asked, "exclude": texts}, schema)["items"]]
    assert len(set(texts) | set(more)) == 40


def test_attributes_have_allowed_values() -> None:
    values = ["sport clubs", "medicine", "trade"]
    block = {
        "task": RTE,
        "wanted": {
            "what": "domains",
            "count": 12,
            "attributes": {"field": {"description": "d", "values": values}},
        },
        "exclude": [],
    }
    schema = items_schema({"text": TEXT, "field": {"type": "string", "enum": values}}, 12)
    found = Client().ask(block, schema)["items"]
    assert {one["field"] for one in found} <= set(values)


def test_vocabulary_terms_are_distinct_and_as_many_as_requested() -> None:
    block = {
        "task": TICKETS,
        "wanted": {"category": "products", "what": "products or services", "count": 15},
        "exclude": ["a web shop"],
    }
    terms = [one["term"] for one in Client().ask(block, items_schema({"term": TEXT}, 15))["items"]]
    assert len({term.casefold() for term in terms}) == 15
    assert "a web shop" not in terms


def test_a_recipe_without_seeds_gets_all_fields_and_a_rationale() -> None:
    for name, labels in (("rte", LABELS), ("copa", TASKS["copa"]["labels"])):
        task = TASKS[name]["task"]
        block = {
            "task": task,
            "label": dict(zip(("name", "constraint"), next(iter(labels.items())), strict=True)),
            "slots": [{"slot": n} for n in range(1, 6)],
        }
        fields = {"slot": {"type": "integer"}, "rationale": TEXT}
        fields |= dict.fromkeys(task["fields"], TEXT)
        items = Client().ask(block, items_schema(fields, 5))["items"]
        for item in items:
            row = {name: item[name] for name in task["fields"]}
            assert all(row.values())
            assert truth(row, list(labels)) == block["label"]["name"]
            assert len(item["rationale"].split()) > 8


def test_rows_of_other_origin_get_a_stable_label() -> None:
    rows = [{"premise": f"Someone wrote number {n}.", "hypothesis": "It was me."} for n in range(9)]
    first = judged(rows, NONE, LABEL_SCHEMA)
    assert first == judged(rows, NONE, LABEL_SCHEMA) == judged(rows, NONE, REASONS_SCHEMA)
    assert set(first) == set(LABELS)


def test_seeds_of_other_origin_get_a_hypothesis() -> None:
    texts = ["Der Mond ist aufgegangen.", "Two men from Mars wrote this."]
    items = Client().ask(instance_block("entailment", texts), hypothesis_schema(2))["items"]
    for text, item in zip(texts, items, strict=True):
        assert truth({"premise": text, **public(item)}, list(LABELS)) in LABELS
        assert len(item["hypothesis"]) > 10


def test_a_prompt_without_data_gets_an_answer_of_its_schema() -> None:
    schema = object_schema(
        {
            "mood": {"enum": ["good", "bad"]},
            "notes": {"type": "array", "items": TEXT, "minItems": 2},
            "count": {"type": "integer"},
        }
    )
    body = request({}, schema)
    body["messages"] = [{"role": "user", "content": "How are you?"}]
    (found,) = Client().many([body])
    value = json.loads(found["choices"][0]["message"]["content"])
    assert value["mood"] in ("good", "bad")
    assert len(value["notes"]) == 2
    assert isinstance(value["count"], int)


def test_wrong_labels_are_at_their_rate() -> None:
    rows = rows_of("rte", 500, Client(ErrorRates(wrong_label=0.1, malformed=0, near_duplicate=0)))
    wrong = sum(truth(public(row), list(LABELS)) != row["_label"] for row in rows)
    assert 30 <= wrong <= 70


@pytest.mark.parametrize("schema", [LABEL_SCHEMA, REASONS_SCHEMA])
def test_wrong_judgments_are_at_their_rate(schema: dict[str, Any]) -> None:
    rows = [{"premise": f"Premise {n} of many.", "hypothesis": "So be it."} for n in range(1000)]
    right = [truth(row, list(LABELS)) for row in rows]
    assert judged(rows, NONE, schema) == right
    found = judged(rows, ErrorRates(malformed=0), schema)
    assert 30 <= sum(a != b for a, b in zip(found, right, strict=True)) <= 75


def test_annotator_and_corrector_err_independently() -> None:
    rows = [{"premise": f"Premise {n} of many.", "hypothesis": "So be it."} for n in range(1000)]
    right = [truth(row, list(LABELS)) for row in rows]
    rates = ErrorRates(malformed=0, annotator=0.2, corrector=0.2)
    annotated = judged(rows, rates, LABEL_SCHEMA)
    corrected = judged(rows, rates, REASONS_SCHEMA)
    both = sum(a != r and c != r for a, c, r in zip(annotated, corrected, right, strict=True))
    assert 20 <= both <= 62


def test_a_majority_vote_corrects_most_wrong_labels_and_few_right_ones_become_wrong() -> None:
    rates = ErrorRates(malformed=0)
    rows = rows_of("rte", 600, Client(rates))
    right = [truth(public(row), list(LABELS)) for row in rows]
    annotated = judged(rows, rates, LABEL_SCHEMA)
    corrected = judged(rows, rates, REASONS_SCHEMA)
    mended = spoilt = wrong = 0
    for row, *votes, actual in zip(rows, annotated, corrected, right, strict=True):
        voted = [row["_label"], *votes]
        final = max(LABELS, key=voted.count)
        wrong += row["_label"] != actual
        mended += row["_label"] != actual == final
        spoilt += row["_label"] == actual != final
    assert mended >= 0.8 * wrong > 0
    assert spoilt <= 0.03 * (len(rows) - wrong)


def test_near_duplicates_are_at_their_rate_and_differ_by_a_word() -> None:
    client = Client(ErrorRates(wrong_label=0, malformed=0, near_duplicate=0.3))
    near = 0
    for seed in range(20):
        items = client.ask(SEEDS, SEED_SCHEMA, seed=seed)["items"]
        bags = [one["premise"].split() for one in items]
        near += sum(
            any(
                len(b) == len(a) and 0 < sum(x != y for x, y in zip(a, b, strict=True)) <= 3
                for a in bags[:n]
            )
            for n, b in enumerate(bags)
        )
    assert 10 <= near <= 45


def test_malformed_answers_are_of_several_kinds_and_at_their_rate() -> None:
    broken = chatty = 0
    for seed in range(1000):
        text, reason = answer(prompt(SEEDS, SEED_SCHEMA, seed), ErrorRates(0, 0.2, 0, 0, 0))
        chatty += "```" in text
        try:
            value = json.loads(text)
            broken += not isinstance(value["items"][0]["premise"], str)
        except (ValueError, KeyError, TypeError):
            broken += 1
        assert reason in ("stop", "length")
    assert 150 <= broken <= 250
    assert 25 <= chatty <= 80


def test_without_errors_rows_have_the_requested_label() -> None:
    for name, count in (("rte", 60), ("cb", 60), ("copa", 60), ("boolq", 60), ("tickets", 40)):
        labels = list(TASKS[name]["labels"])
        rows = rows_of(name, count)
        right = sum(truth(public(row), labels) == row["_label"] for row in rows)
        assert right >= count - 1


def test_a_row_may_have_a_planned_field_and_no_seed() -> None:
    task = TASKS["copa"]["task"]
    block = {
        "task": task,
        "label": {"name": "1", "constraint": TASKS["copa"]["labels"]["1"]},
        "slots": [{"slot": n, "given": {"question": "cause"}} for n in (1, 2, 3)],
    }
    fields = {"slot": {"type": "integer"}, "premise": TEXT, "choice1": TEXT, "choice2": TEXT}
    for item in Client().ask(block, items_schema(fields, 3))["items"]:
        row = {**{n: item[n] for n in ("premise", "choice1", "choice2")}, "question": "cause"}
        assert truth(row, ["0", "1"]) == "1"
        assert explains(row["premise"], "cause", row["choice2"])


def test_a_slot_may_have_its_own_label() -> None:
    text = premises(Client())[0]
    block = {
        "task": RTE,
        "labels": LABELS,
        "slots": [
            {"slot": n, "label": label, "given": {"premise": text}}
            for n, label in enumerate([*LABELS, *LABELS], 1)
        ],
    }
    for slot, item in zip(
        block["slots"], Client().ask(block, hypothesis_schema(4))["items"], strict=True
    ):
        row = {"premise": text, "hypothesis": item["hypothesis"]}
        assert truth(row, list(LABELS)) == slot["label"]


def test_several_labels_are_answered_with_a_list_of_them() -> None:
    asked = {"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}}
    row = {"body": "Some text."}
    block = {"task": TICKETS, "labels": dict.fromkeys("abc", "d"), "rows": [{"row": 1, **row}]}
    (item,) = json.loads(answer(prompt(block, items_schema({"label": asked}, 1)))[0])["items"]
    assert item["label"] == truths(row, "abc")


def test_additional_fields_of_the_schema_are_filled() -> None:
    props = {"item": {"type": "integer"}, "premise": TEXT, "mood": {"enum": ["dark", "light"]}}
    for item in Client().ask(SEEDS, items_schema(props, 7))["items"]:
        assert item["mood"] in ("dark", "light")
        assert item["premise"]


def test_rows_of_an_unknown_task_get_its_labels() -> None:
    schema = items_schema({"label": {"type": "string", "enum": list(URGENCY)}}, 1)
    found = set()
    for n in range(60):
        block = {
            "task": TICKETS,
            "labels": URGENCY,
            "rows": [{"row": 1, "subject": f"Number {n}", "body": "It is what it is."}],
        }
        (item,) = json.loads(answer(prompt(block, schema))[0])["items"]
        found.add(item["label"])
    assert found == set(URGENCY)


@pytest.mark.parametrize(
    "change",
    [
        {"items": "all of them"},
        {"items": [1, 2]},
        {"wanted": ["premises"]},
        {"wanted": {"count": "many"}, "items": None},
        {"task": {"fields": ["premise"]}},
        {"context": "somewhere"},
        {"slots": [{"given": "nothing"}]},
        {"labels": ["yes", "no"], "rows": [{"a": "b"}]},
        {"rows": ["a"]},
    ],
)
def test_a_malformed_data_block_gets_an_answer_of_the_schema(change: dict[str, Any]) -> None:
    text, _ = answer(prompt({**SEEDS, **change}, object_schema({"remark": TEXT})))
    assert set(json.loads(text)) == {"remark"}


@pytest.mark.parametrize("name", ["rte", "cb", "copa", "boolq"])
def test_seeds_are_those_of_the_task_if_the_prompt_does_not_show_its_fields(name: str) -> None:
    spec = real_task(name)
    assert spec.seeds is not None
    types = {kind: values[0] for kind, values in spec.seeds.types.items()}
    fields = {field: one.description for field, one in spec.seeds.fields.items()}
    block = {
        "task": {"title": spec.title, "description": spec.description},
        "wanted": {"what": spec.seeds.what, "kind": spec.seeds.kind, "fields": fields},
        "items": [{"item": 1, **types, "anchors": {"name": "Aylin Kaya"}}],
    }
    assert task_grammars(block)[0].name == name
    (seed,) = json.loads(answer(prompt(block, None))[0])["items"]
    assert set(seed) == {"item", *fields}


def test_a_context_has_a_domain_only_if_the_prompt_wants_one() -> None:
    block = {"task": RTE, "wanted": {"what": "domains", "count": 6, "attributes": {}}}
    with_domain = items_schema({"domain": TEXT, "text": TEXT}, 6)
    found = Client().ask(block, with_domain)["items"]
    assert all(one["domain"] and one["domain"] not in ("", one["text"]) for one in found)
    assert set(Client().ask(block, items_schema({"text": TEXT}, 6))["items"][0]) == {"text"}


def test_contexts_of_every_shipped_task_are_not_placeholders() -> None:
    recipes = {name: spec.recipe for name, spec in load_tasks(TASK_FILES, RECIPES).items()}
    written = [name for name, recipe in recipes.items() if _lists_contexts(recipe)]
    assert len(written) > 15
    for name in written:
        spec = real_task(name)
        # The operator's prompt names the task by its title only.
        block = {"task": {"title": spec.title}, "wanted": {"what": spec.contexts.what, "count": 4}}
        assert task_grammars(block), name


def _lists_contexts(recipe: Recipe) -> bool:
    return recipe.choice(CONTEXTS).operator == "llm_list"
