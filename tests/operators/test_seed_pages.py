"""Seeds by need: pages of each context, what prompts show, and the rows of fewer slots."""

import json
from itertools import pairwise

import pytest

from targen.errors import StepError
from targen.operators import run_step
from targen.operators.sources import SourcePlan, first_contexts
from targen.tasks.registry import resolve
from tests.support.models import ScriptedModel, block_of, seeds_asked
from tests.support.specs import MOOD, real_task, spec_of

GROWING = MOOD.replace("  contexts: {count: 2}\n", "").replace("{page: 3}", "{page: 12}")
TYPED = "  fields:\n    event: {description: the event}\n"


def model_of(lost=lambda place, number: False):
    """Answer with numbered contexts and events; `lost` says which events are left out.

    The n-th event of a place is numbered by the prompts that came before, like a real model's.
    """
    written = {}

    def answer(request):
        block = block_of(request)
        if "items" not in block:
            start = int(block["exclude"][-1].split()[-1]) + 1 if block["exclude"] else 0
            numbers = range(start, start + block["wanted"]["count"])
            return {"items": [{"domain": f"d{n}", "text": f"place {n}"} for n in numbers]}
        items = []
        for item, place, _ in seeds_asked(block):
            key = (place, request.messages[1]["content"], item, request.sample)
            number = written.setdefault(key, sum(k[0] == place for k in written) + 1)
            if not lost(place, number):
                items.append({"item": item, "event": f"{place} event {number}"})
        return {"items": items}

    return ScriptedModel(answer)


async def made(spec, model):
    """Return the outputs of contexts and seeds, and the requests for seeds."""
    tables = {"vocabularies": (await run_step("vocabularies", spec, {}, None)).table}
    contexts = await run_step("contexts", spec, tables, model)
    tables["contexts"] = contexts.table
    seeds = await run_step("seeds", spec, tables, model)
    assert seeds.asked == len(seeds.table) + len(seeds.rejected)
    return contexts, seeds, [r for r in model.history if "items" in block_of(r)]


def by_context(table):
    return {name: part for (name,), part in table.group_by("context_id", maintain_order=True)}


def sources(spec, contexts, seeds):
    plan = SourcePlan(contexts.table, seeds.table, False, first_contexts(spec))
    return [plan[slot] for slot in range(spec.slots_seeded)]


def nothing(place, number):
    return False


def some(place, number):
    """Every third event of a place, and all of place 2."""
    return number % 3 == 0 or place == "place 2"


@pytest.mark.parametrize("lost", [nothing, some])
async def test_more_rows_keep_the_seeds_and_prompts_of_fewer(lost, tmp_path):
    runs = []
    for rows in (12, 100, 1000):
        spec = spec_of(tmp_path, GROWING, rows)
        contexts, seeds, requests = await made(spec, model_of(lost))
        found = {(r.messages[1]["content"], r.sample) for r in requests}
        runs.append((by_context(seeds.table), found, sources(spec, contexts, seeds)))
    for (few, few_asked, few_slots), (many, many_asked, many_slots) in pairwise(runs):
        assert few_asked <= many_asked
        assert few_slots == many_slots[: len(few_slots)]
        for name, table in few.items():
            assert many[name].head(len(table)).equals(table)


@pytest.mark.parametrize("lost", [nothing, some])
async def test_every_slot_has_a_seed_of_its_own(lost, tmp_path):
    spec = spec_of(tmp_path, GROWING, 100)
    contexts, seeds, _ = await made(spec, model_of(lost))
    slots = sources(spec, contexts, seeds)
    assert len({slot.seed_id for slot in slots}) == len(slots)
    assert not any(slot.again for slot in slots)


@pytest.mark.parametrize("rows", [100, 1000])
@pytest.mark.parametrize("name", ["rte", "ticket_urgency"])
async def test_at_most_a_quarter_of_the_seeds_is_not_needed(name, rows):
    spec = real_task(name, rows)
    fields = spec.seeds.fields

    def answer(request):
        block = block_of(request)
        if "items" not in block:
            start = len(block["exclude"]) + request.messages[1]["content"].count("x")
            names = [*spec.contexts.attributes, "domain", "text"]
            count = block["wanted"]["count"]
            return {"items": [dict.fromkeys(names, f"c {start} {n}") for n in range(count)]}
        return {
            "items": [
                {"item": item, **{field: f"{field} of {text} {place}" for field in fields}}
                for item, text, place in seeds_asked(block)
            ]
        }

    contexts, seeds, requests = await made(spec, ScriptedModel(answer))
    used = {slot.seed_id for slot in sources(spec, contexts, seeds)}
    assert 1 - len(used) / len(seeds.table) <= 0.25
    assert len(requests) <= 18 if rows == 100 else len(requests) < 150


def pages_of(place, requests):
    """Return, for each request with this context, its entry and its number of seeds."""
    pages = []
    for block in map(block_of, requests):
        entry = next((one for one in block["contexts"] if one["text"] == place), None)
        if entry is not None:
            asked = [item for item in block["items"] if item["context"] == entry["context"]]
            pages.append((entry, len(asked), len(block["contexts"])))
    return pages


async def test_contexts_share_requests_whose_pages_grow(tmp_path):
    _, _, requests = await made(spec_of(tmp_path, GROWING, 1000), model_of())
    first, later = pages_of("place 0", requests), pages_of("place 5", requests)
    assert {(size, contexts) for _, size, contexts in first} == {(3, 4)}
    assert [len(entry["exclude"]) for entry, *_ in first[:4]] == [0, 3, 6, 9]
    assert max(len(entry["exclude"]) for entry, *_ in first) == 10
    assert max(len(entry["exclude"]) for entry, *_ in later) == 20
    sizes = [size for _, size, _ in later]
    assert sizes == [3, 4, 4, 4, *[6] * (len(sizes) - 4)]
    assert {contexts for *_, contexts in later} == {2}


async def test_a_context_can_have_requests_of_its_own(tmp_path):
    text = GROWING.replace("{page: 12}", "{page: 10, together: 1}")
    _, _, requests = await made(spec_of(tmp_path, text, 100), model_of())
    pages = pages_of("place 0", requests)
    assert [(size, contexts) for _, size, contexts in pages[:5]] == [(3, 1), *[(4, 1)] * 3, (10, 1)]


async def test_a_smaller_page_is_never_enlarged(tmp_path):
    _, _, requests = await made(spec_of(tmp_path, MOOD), model_of())
    assert {len(block_of(r)["items"]) for r in requests} == {2}  # one for each of two contexts


async def test_prompts_quote_seeds_of_other_contexts(tmp_path):
    _, _, requests = await made(spec_of(tmp_path, GROWING, 1000), model_of())
    blocks = [block_of(r) for r in requests]
    assert "elsewhere" not in blocks[0]
    for block in blocks:
        quoted = [gist.split(" event")[0] for gist in block.get("elsewhere", ())]
        assert not {one["text"] for one in block["contexts"]} & set(quoted)
        assert len(quoted) == len(set(quoted)) <= 5
    later = [b["elsewhere"] for b in blocks if b["contexts"][-1]["text"] == "place 9"]
    assert len({tuple(gists) for gists in later}) == len(later) > 3


async def test_a_context_without_seeds_gives_its_slots_to_the_others(tmp_path):
    spec = spec_of(tmp_path, GROWING, 100)
    _, seeds, requests = await made(spec, model_of(lambda place, number: place == "place 1"))
    assert len(pages_of("place 1", requests)) == 3
    assert seeds.warnings == ["1 contexts have no seed"]


async def test_contexts_that_a_small_data_set_does_not_use_are_not_waited_for(tmp_path):
    text = MOOD.replace("{count: 2}", "{count: 40}").replace("rows: 8", "rows: 1")
    spec = spec_of(tmp_path, text.replace("{page: 3}", "{page: 2}"))
    assert spec.slots_seeded < 40

    def lost(place, number):
        return place == "place 1" or number % 3 != 1

    contexts, seeds, requests = await made(spec, model_of(lost))
    slots = sources(spec, contexts, seeds)
    assert len({slot.seed_id for slot in slots}) == len(slots)
    places = {one["text"] for r in requests for one in block_of(r)["contexts"]}
    assert len(places) < spec.slots_seeded + 4


async def test_no_seed_at_all_is_one_error(tmp_path):
    with pytest.raises(StepError, match=r"none of \d+ seeds was valid"):
        await made(spec_of(tmp_path, GROWING), model_of(lambda place, number: True))


async def test_a_model_that_gives_one_seed_per_page_is_asked_for_more_pages(tmp_path):
    spec = spec_of(tmp_path, GROWING, 12)
    contexts, seeds, _ = await made(spec, model_of(lambda place, number: number % 3 != 1))
    slots = sources(spec, contexts, seeds)
    assert len({slot.seed_id for slot in slots}) == len(slots)
    assert set(seeds.rejected["reason"]) == {"missing"}


async def test_seeds_know_neither_the_task_s_fields_nor_its_labels(tmp_path):
    _, _, requests = await made(spec_of(tmp_path, GROWING), model_of())
    for request in requests:
        block = block_of(request)
        assert set(block["task"]) == {"title"}
        assert list(block)[:3] == ["task", "wanted", "contexts"]
        assert "glad" not in request.messages[1]["content"]


async def test_only_seeds_that_are_no_field_are_asked_to_leave_the_label_open(tmp_path):
    open_line = "do not judge them"
    for fields, said in (("event", True), ("note", False)):
        text = GROWING.replace("event: {description: the event}", f"{fields}: {{description: e}}")
        spec = spec_of(tmp_path, text)
        model = ScriptedModel(
            lambda request, name=fields: {
                "items": [
                    {
                        "item": n,
                        "text": f"p{n}",
                        name: f"Rain fell on day {n}.",
                    }
                    for n in range(1, 7)
                ]
            }
        )
        _, _, requests = await made(spec, model)
        assert (open_line in requests[0].messages[0]["content"]) is said


async def test_anchors_can_be_left_out_and_words_have_none(tmp_path):
    for kind, anchors, expected in (
        ("sentence", "true", True),
        ("sentence", "false", False),
        ("word", "true", False),
    ):
        text = GROWING.replace("{page: 12}", f"{{anchors: {anchors}}}")
        spec = spec_of(tmp_path, text.replace("kind: sentence", f"kind: {kind}"))
        _, _, requests = await made(spec, model_of())
        assert all(
            ("anchors" in item) is expected for r in requests for item in block_of(r)["items"]
        )
        assert ("`anchors`" in requests[0].messages[0]["content"]) is expected


async def test_types_go_through_all_combinations_and_begin_differently(tmp_path):
    types = "  types: {who: [first, second], case: [he, him, his]}\n"
    spec = spec_of(tmp_path, GROWING.replace(TYPED, TYPED + types), 100)
    _, seeds, requests = await made(spec, model_of())
    lists = {}
    for request in requests:
        block = block_of(request)
        texts = {one["context"]: one["text"] for one in block["contexts"]}
        for item in block["items"]:
            pair = (item["who"], item["case"])
            lists.setdefault(texts[item["context"]], []).append(pair)
    assert len(set(lists["place 0"][:6])) == 6
    assert lists["place 0"][1:7] == lists["place 1"][:6]
    assert "must have" in requests[0].messages[0]["content"]
    assert {pair["name"] for pair in seeds.table["attributes"][0]} == {"who", "case"}


async def test_the_answer_s_limit_follows_from_the_fields(tmp_path):
    limits = []
    for change in ("", "max_output_tokens: 200, "):
        text = GROWING.replace("{page: 12}", f"{{{change}page: 12}}")
        _, _, requests = await made(spec_of(tmp_path, text), model_of())
        limits.append(requests[0].sampling.max_output_tokens)
    assert 128 + 12 * 50 * 1.4 < limits[0] < 2400
    assert limits[1] == 200


def test_recipes_of_papers_draw_no_anchors():
    for name, expected in (("rte", True), ("rte-targen-paper", False)):
        spec = real_task(name)
        _, params = resolve(spec.recipe.choice("seeds"), "seeds")
        assert params.anchors is expected


async def test_a_text_that_comes_in_two_contexts_of_a_request_is_kept_once(tmp_path):
    def answer(request):
        block = block_of(request)
        if "items" not in block:
            return model_of().answer(request)
        asked = seeds_asked(block)
        return {
            "items": [
                {"item": item, "event": f"event {place} of page {request.sample}"}
                for item, _, place in asked
            ]
        }

    _, seeds, _ = await made(spec_of(tmp_path, GROWING, 12), ScriptedModel(answer))
    texts = seeds.table.filter(seeds.table["kind"] == "sentence")["fields"].to_list()
    first = texts[:3]
    assert len(set(first)) == 3 and texts.count(first[0]) <= 2  # once in each group
    assert set(seeds.rejected["reason"]) == {"duplicate"}


async def test_contexts_may_have_a_word_in_common(tmp_path):
    def answer(request):
        block = block_of(request)
        if "items" not in block:
            return model_of().answer(request)
        return {"items": [{"item": n, "event": f"w{place}"} for n, _, place in seeds_asked(block)]}

    spec = spec_of(tmp_path, GROWING.replace("kind: sentence", "kind: word"), 12)
    _, seeds, _ = await made(spec, ScriptedModel(answer))
    assert seeds.rejected.is_empty()
    words = seeds.table.filter(seeds.table["kind"] == "word")["fields"].to_list()
    assert words.count(words[0]) > 1


async def test_a_seed_that_differs_in_names_only_is_a_duplicate(tmp_path):
    texts = [
        "Linh Nguyen met friends at the coffee shop and had lunch.",
        "Wenjie Hwang met friends at the coffee shop and had lunch.",
        "Linh Nguyen met colleagues at the coffee shop and had lunch.",
        "Linh Nguyen met friends at the coffee shop and had lunch!",
        "Leeds is nice.",
        "Cuenca is nice.",
    ]

    def answer(request):
        block = block_of(request)
        if "items" not in block:
            return {"items": [{"domain": "d", "text": "a place"}]}
        return {"items": [{"item": n, "event": text} for n, text in enumerate(texts, 1)]}

    _, seeds, _ = await made(spec_of(tmp_path, GROWING, 100), ScriptedModel(answer))
    kept = [json.loads(fields)["event"] for fields in seeds.table["fields"]]
    assert kept == [texts[0], texts[2], texts[4], texts[5]][: len(kept)] and len(kept) >= 2
    first = seeds.rejected.row(0, named=True)
    assert first["reason"] == "duplicate" and first["detail"].endswith("in names only")
