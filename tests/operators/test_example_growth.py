"""Example-based growth: what is shown, what is refused, the shape of the tree, and growing on."""

import contextlib
import json
import math
from collections import Counter

import numpy as np
import pytest

import simulator
from targen.errors import NoEmbeddingsError, SpecError, StepError
from targen.llm.engine import EmbeddingEngine, Engine
from targen.llm.settings import EngineSettings
from targen.operators.example_growth import likeness
from tests.operators.test_generation import tables_of
from tests.support.models import ScriptedModel, block_of, failing, ok, random_model
from tests.support.specs import real_task, spec_of

CLAIMS = """\
name: claims
title: Claims
description: A claim.
rows: 40
headroom: 0
recipe: data-creator
fields:
  question: {description: the claim}
answer:
  kind: class
  question: Is it true?
  labels:
    "yes": {constraint: It must be true., definition: It is true.}
    "no": {constraint: It must be false., definition: It is false.}
examples:
  - {fields: {question: The first claim.}, label: "no"}
steps:
  instances: {%s}
"""
QUIZ = """\
name: quiz
title: Quiz
description: A question with three options.
rows: 10
headroom: 0
recipe: data-creator
fields:
  question: {description: the question}
  options: {description: three answers, type: texts}
answer: {kind: span, question: Which?, choices: options}
examples:
  - fields: {question: What barks?, options: [a dog, a cat, a tree]}
    label: a dog
steps:
  instances: {strategy: naive}
"""


def claims(tmp_path, steps="strategy: tree", rows=None):
    return spec_of(tmp_path, CLAIMS % steps, rows)


def numbered(answer=lambda request, n: f"{shown(request)}{n}"):
    """Answer with claims that name the claim that they were grown from: 'x' grows x1 to x5."""

    def say(request):
        slots = block_of(request)["slots"]
        texts = [answer(request, slot["slot"]) for slot in slots]
        items = [
            {"slot": slot["slot"], "label": slot["label"], "question": text}
            for slot, text in zip(slots, texts, strict=True)
            if text is not None
        ]
        return {"items": items}

    return ScriptedModel(say)


def shown(request):
    (example,) = block_of(request)["examples"]
    return "" if example["question"] == "The first claim." else example["question"]


def key(request):
    return json.dumps([dict(m) for m in request.messages]) + str(request.sample)


async def test_the_label_comes_first_so_that_the_text_is_written_for_it(tmp_path):
    model = numbered()
    made = await tables_of(claims(tmp_path), model)
    request = model.history[0]
    item = request.schema["properties"]["items"]["items"]["properties"]
    assert list(item) == ["slot", "label", "question"]
    assert item["label"]["enum"] == ["yes", "no"]
    block = block_of(request)
    assert list(block["examples"][0].items()) == [("label", "no"), ("question", "The first claim.")]
    assert len(block["slots"]) == 5
    assert Counter(made["corrected_set"].table["label"]) == {"yes": 20, "no": 20}


def parts(value):
    """Return all texts of a data block."""
    if isinstance(value, dict):
        return [part for one in (*value, *value.values()) for part in parts(one)]
    return [p for one in value for p in parts(one)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("name", ["creak", "commonsenseqa", "rte-data-creator"])
async def test_a_hidden_task_is_shown_by_one_example_and_the_labels_names(name):
    spec = real_task(name, rows=5)
    model = random_model()
    with contextlib.suppress(StepError):
        await tables_of(spec, model, "instances")
    first = model.history[0]
    block = block_of(first)
    (example,) = block["examples"]
    names = [f for f in spec.fields if not spec.fields[f].derived]
    assert [n for n in example if n not in ("label", "answer")] == names
    assert set(block) == {"examples", "slots"} | ({"labels"} if spec.labels else set())
    if spec.labels:
        assert block["labels"] == list(spec.labels)
        assert {frozenset(slot) for slot in block["slots"]} == {frozenset({"slot", "label"})}
    secret = [spec.title, spec.description, *(f.description for f in spec.fields.values())]
    secret += [text for one in spec.labels.values() for text in (one.constraint, one.definition)]
    said = " ".join([first.messages[0]["content"], *parts(block)])
    assert not [
        text for text in secret if text and " ".join(text.split()) in " ".join(said.split())
    ]


async def test_a_shown_task_has_its_description_and_constraints(tmp_path):
    model = numbered()
    await tables_of(claims(tmp_path, "task: shown"), model, "instances")
    block = block_of(model.history[0])
    assert block["task"]["description"] == "A claim."
    assert block["labels"] == {"yes": "It must be true.", "no": "It must be false."}
    assert "`task`" in model.history[0].messages[0]["content"]
    hidden = numbered()
    await tables_of(claims(tmp_path, "task: hidden"), hidden, "instances")
    assert "`task`" not in hidden.history[0].messages[0]["content"]


async def test_the_simulator_writes_rows_of_a_hidden_task(tmp_path):
    spec = real_task("creak", rows=20)
    settings = EngineSettings(
        simulator=simulator.application, store_url=f"sqlite:///{tmp_path}/s.db"
    )
    async with Engine(settings) as engine:
        table = (await tables_of(spec, engine, "instances"))["instances"].table
    assert len(table) == spec.slots_wanted
    assert set(table["intended_label"]) == {"true", "false"}


async def test_the_output_bound_follows_from_the_words_of_the_fields(tmp_path):
    longer = CLAIMS.replace("the claim}", "the claim, max_words: 10}")
    model = numbered()
    spec = spec_of(tmp_path, longer % "strategy: tree")
    await tables_of(spec, model, "instances")
    (bound,) = {r.sampling.max_output_tokens for r in model.history}
    assert 100 < bound < 1000
    low = numbered()
    await tables_of(spec_of(tmp_path, longer % "max_output_tokens: 100"), low, "instances")
    assert {r.sampling.max_output_tokens for r in low.history} == {100}


async def test_options_of_a_row_come_before_its_answer_and_are_as_many_as_the_example_s():
    model = random_model()
    with pytest.raises(StepError, match=r"example_growth accepted 0 of 25 items"):
        await tables_of(real_task("piqa", rows=5), model)
    item = model.history[0].schema["properties"]["items"]["items"]["properties"]
    assert list(item) == ["slot", "question", "options", "answer"]
    assert (item["options"]["minItems"], item["options"]["maxItems"]) == (2, 2)
    assert list(block_of(model.history[0])["examples"][0]) == ["question", "options", "answer"]


async def test_each_object_is_judged_alone(tmp_path):
    """Wrong option count, answer not among the options, options twice, questions twice."""

    def say(request):
        n = request.sample
        items = [
            {"question": f"Q{n}?", "options": ["a", "b", "c"], "answer": "b"},
            {"question": f"Two options {n}?", "options": ["a", "b"], "answer": "b"},
            {"question": f"No such answer {n}?", "options": ["a", "b", "c"], "answer": "d"},
            {"question": f"Twice {n}?", "options": ["a", "A", "c"], "answer": "c"},
            {"question": f"q{n}? ", "options": ["x", "y", "z"], "answer": "z"},
        ]
        return {"items": [{"slot": i, **item} for i, item in enumerate(items, 1)]}

    made = (await tables_of(spec_of(tmp_path, QUIZ), ScriptedModel(say), "instances"))["instances"]
    assert made.table["question"].to_list() == [f"Q{n}?" for n in range(10)]
    details = Counter(detail.split(":")[0] for detail in made.rejected["detail"])
    assert details == {"option_count": 10, "answer": 10, "options": 10, "question": 10}
    assert Counter(made.rejected["reason"]) == {"invalid": 30, "duplicate": 10}


async def test_the_question_of_the_formatting_example_is_not_new(tmp_path):
    model = numbered(lambda request, n: "the FIRST claim." if n == 1 else f"{shown(request)}{n}")
    made = (await tables_of(claims(tmp_path), model, "instances"))["instances"]
    assert "the FIRST claim." not in set(made.table["question"])
    assert made.rejected["reason"][0] == "echo"


async def test_a_cut_off_answer_gives_what_is_whole_in_it(tmp_path):
    def say(request):
        value = numbered().answer(request)
        if shown(request) != "":
            return value
        whole = ok(request, {"items": value["items"][:2]})
        return type(whole)(request, whole.request_id, "truncated", whole.value, "...", "cut off")

    made = (await tables_of(claims(tmp_path), ScriptedModel(say), "instances"))["instances"]
    assert made.table["question"].to_list()[:2] == ["1", "2"]
    assert Counter(made.rejected["reason"])["truncated"] == 3


async def test_the_answer_stands_in_every_place(tmp_path):
    def say(request):
        items = [
            {"slot": n, "question": f"{request.sample}.{n}?", "options": list("abc"), "answer": "a"}
            for n in range(1, 6)
        ]
        return {"items": items}

    spec = spec_of(tmp_path, QUIZ, rows=90)
    table = (await tables_of(spec, ScriptedModel(say), "instances"))["instances"].table
    places = Counter(
        options.index(answer)
        for options, answer in table.select("options", "intended_label").iter_rows()
    )
    assert set(places) == {0, 1, 2}
    assert max(places.values()) < 45


async def test_the_tree_grows_breadth_first(tmp_path):
    """One call, then five, then twenty-five: 5 + 25 + 125 rows, each below its parent."""
    model = numbered()
    made = (await tables_of(claims(tmp_path, rows=155), model, "instances"))["instances"]
    table = made.table
    assert Counter(table["depth"]) == {0: 5, 1: 25, 2: 125}
    assert table["depth"].is_sorted()
    assert len(model.history) == 31
    texts = dict(table.select("instance_id", "question").iter_rows())
    for row in table.iter_rows(named=True):
        parents = [texts[parent] for parent in row["parent_ids"]]
        assert parents == ([row["question"][:-1]] if row["depth"] else [])
    assert table["seed_id"].n_unique() == 1


async def test_the_levels_of_a_tree_are_bounded_in_depth_and_width(tmp_path):
    model = numbered(lambda request, n: f"{shown(request) or f'tree {request.sample} '}{n}")
    spec = claims(tmp_path, "strategy: tree, depth: 3, width: 2", rows=60)
    table = (await tables_of(spec, model, "instances"))["instances"].table
    # A tree: 1 call, 2 calls, 2 calls; 25 rows. The third is needed for ten rows more.
    assert Counter(table["depth"]) == {0: 15, 1: 25, 2: 20}
    assert [r.sample for r in model.history if shown(r) == ""] == [0, 1, 2]


@pytest.mark.parametrize("strategy", ["naive", "random", "diverse", "similar", "tree"])
async def test_no_strategy_runs_for_ever(tmp_path, strategy):
    """The model repeats itself: the published code would never end."""
    model = numbered(lambda request, n: f"always {n}")
    spec = claims(tmp_path, f"strategy: {strategy}, stalls: 3", rows=40)
    with pytest.raises(StepError, match=r".* accepted 5 of \d+ items .*question"):
        await tables_of(spec, model)
    assert len(model.history) <= 20


async def test_half_of_the_rows_are_kept_and_the_rest_is_a_warning(tmp_path):
    model = numbered(lambda request, n: f"always {n}")
    made = (await tables_of(claims(tmp_path, rows=8), model, "instances"))["instances"]
    assert len(made.table) == 5
    assert "5 of 8 instances" in made.warnings[0]


@pytest.mark.parametrize("strategy", ["naive", "random", "diverse", "similar", "tree"])
async def test_more_rows_keep_every_row_and_ask_only_for_what_is_new(tmp_path, strategy):
    def uneven(request, n):
        if n == 2 and len(shown(request)) % 3 == 1:
            return None
        return f"{shown(request) or request.sample}-{n if n != 4 else 3}"

    steps = f"strategy: {strategy}"
    few, many = numbered(uneven), numbered(uneven)
    small = (await tables_of(claims(tmp_path, steps, rows=33), few, "instances"))["instances"]
    large = (await tables_of(claims(tmp_path, steps, rows=81), many, "instances"))["instances"]
    assert large.table.head(33).equals(small.table)
    assert {key(r) for r in few.history} <= {key(r) for r in many.history}
    assert len({key(r) for r in many.history}) == len(many.history)
    over = small.rejected.filter(small.rejected["reason"] == "surplus")["text"].to_list()
    later = large.table["question"].to_list()
    assert all(json.loads(text)["question"] in later for text in over)


async def test_a_killed_level_resumes_with_the_same_requests(tmp_path):
    """The store answers what was asked before; the rest of the level is asked, nothing twice."""
    whole = numbered()
    full = (await tables_of(claims(tmp_path, rows=100), whole, "instances"))["instances"]
    stored, paid = {}, []

    class KilledError(Exception):
        pass

    def say(request):
        if key(request) not in stored:
            if len(stored) == 12:
                raise KilledError
            paid.append(key(request))
            stored[key(request)] = whole.answer(request)
        return stored[key(request)]

    with pytest.raises(KilledError):
        await tables_of(claims(tmp_path, rows=100), ScriptedModel(say), "instances")
    before = list(paid)

    def on(request):
        if key(request) not in stored:
            paid.append(key(request))
            stored[key(request)] = whole.answer(request)
        return stored[key(request)]

    again = await tables_of(claims(tmp_path, rows=100), ScriptedModel(on), "instances")
    assert again["instances"].table.equals(full.table)
    assert len(before) == 12
    assert len(paid) == len(set(paid)) == len(whole.history)


async def test_naive_always_shows_the_formatting_example(tmp_path):
    model = numbered(lambda request, n: f"{request.sample}-{n}")
    made = await tables_of(claims(tmp_path, "strategy: naive"), model, "instances")
    assert {shown(r) for r in model.history} == {""}
    assert sorted(r.sample for r in model.history) == list(range(8))
    assert set(made["instances"].table["depth"]) == {0}


async def test_a_chain_shows_the_least_or_the_most_similar_row_of_the_last_answer(tmp_path):
    words = ["zebras hum", "The claim.", "The first clam.", "a b c", "quartz veins"]

    def say(request, n):
        start = shown(request)
        return words[n - 1] if not start else f"{start} {n}"

    for strategy, second in (("similar", "The first clam."), ("diverse", "quartz veins")):
        model = numbered(say)
        await tables_of(claims(tmp_path, f"strategy: {strategy}", rows=10), model, "instances")
        first = "The first claim."
        alike = {word: likeness(first, word) for word in words}
        pick = max if strategy == "similar" else min
        assert shown(model.history[1]) == pick(alike, key=alike.get)
        if strategy == "similar":
            assert shown(model.history[1]) == second


async def test_embeddings_decide_where_the_model_gives_them(tmp_path):
    class Embedding(ScriptedModel):
        async def embed(self, texts):
            """Put every text on a circle, by its last digit; the formatting example at 0."""
            turns = [int(text[-1]) if text[-1].isdigit() else 0 for text in texts]
            return np.array([(math.cos(turn), math.sin(turn)) for turn in turns])

    for strategy, expected in (("similar", "1"), ("diverse", "3")):
        model = Embedding(numbered().answer)
        await tables_of(claims(tmp_path, f"strategy: {strategy}", rows=10), model, "instances")
        # cos 1 = 0.54 is the largest of cos 1 to cos 5, cos 3 = -0.99 the smallest.
        assert shown(model.history[1]) == expected


async def test_a_chain_that_gets_nothing_asks_the_same_again_as_another_sample(tmp_path):
    def say(request):
        if shown(request) == "" and request.sample < 2:
            return failing(request)
        return numbered().answer(request)

    model = ScriptedModel(say)
    made = await tables_of(claims(tmp_path, "strategy: random", rows=5), model, "instances")
    assert [r.sample for r in model.history] == [0, 1, 2]
    assert Counter(made["instances"].rejected["reason"]) == {"malformed": 10}


def test_likeness_of_worked_examples():
    """Padded 'ab' holds ' ab', 'ab ', ' ab '; 'abc' holds six grams, of which it shares one."""
    assert likeness("the same", "The  SAME") == pytest.approx(1)
    assert likeness("ab", "xy") == 0
    assert likeness("ab", "abc") == pytest.approx(1 / (3 * 6) ** 0.5)
    assert likeness("", "abc") == 0


@pytest.mark.parametrize("name", ["boolq-open", "creak", "creak-checked", "rte-data-creator"])
async def test_a_foreign_model_without_sense_completes(name):
    made = await tables_of(real_task(name, rows=40), random_model())
    assert len(made["corrected_set"].table) == 40


async def test_errors_say_what_to_change(tmp_path):
    with pytest.raises(StepError, match="the field 'claim', which the task does not have"):
        await tables_of(claims(tmp_path, "question: claim"), random_model())
    without = CLAIMS.replace(
        'examples:\n  - {fields: {question: The first claim.}, label: "no"}\n', ""
    )
    with pytest.raises(SpecError, match="yaml:6: recipe: .* give `examples`"):
        spec_of(tmp_path, without % "depth: 1")
    with pytest.raises(SpecError, match="its label must be one of its options"):
        spec_of(tmp_path, QUIZ.replace("label: a dog", "label: a cow"))
    unseeded = CLAIMS.replace("steps:\n", "steps:\n  seeds: {operator: none}\n")
    with pytest.raises(StepError, match="step `seeds` must be `examples`"):
        await tables_of(spec_of(tmp_path, unseeded % "depth: 1"), random_model())


@pytest.mark.parametrize("strategy", ["similar", "diverse"])
async def test_growth_by_stored_embeddings_is_the_same_again_without_a_call(tmp_path, strategy):
    url = f"sqlite:///{tmp_path}/s.db"
    spec = claims(tmp_path / "tasks", f"strategy: {strategy}", rows=30)
    found = []
    for _ in range(2):
        async with EmbeddingEngine(
            EngineSettings(simulator=simulator.application, store_url=url)
        ) as engine:
            found.append((await tables_of(spec, engine, "instances"))["instances"].table)
    assert found[0].equals(found[1])
    assert engine.stats.calls == 0
    assert engine.stats.from_store > 30
    # More rows begin with these.
    longer = claims(tmp_path / "tasks", f"strategy: {strategy}", rows=45)
    async with EmbeddingEngine(
        EngineSettings(simulator=simulator.application, store_url=url)
    ) as engine:
        more = (await tables_of(longer, engine, "instances"))["instances"].table
    assert more.head(30).equals(found[0])


async def test_without_embeddings_growth_goes_by_likeness(tmp_path):
    class Bare(ScriptedModel):
        async def embed(self, texts):
            raise NoEmbeddingsError("404")

    spec = claims(tmp_path, "strategy: similar", rows=10)
    bare, plain = Bare(numbered().answer), ScriptedModel(numbered().answer)
    one = (await tables_of(spec, bare, "instances"))["instances"].table
    assert one.equals((await tables_of(spec, plain, "instances"))["instances"].table)
