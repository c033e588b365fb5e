"""Contexts by a model: pages, duplicates, domains, and how many there are."""

from collections import Counter

import pytest

from targen.operators import run_step
from targen.operators.sources import contexts_needed
from tests.support.models import ScriptedModel, block_of, random_model
from tests.support.specs import MOOD, spec_of

GROWING = MOOD.replace("  contexts: {count: 2}\n", "")
PLACES = MOOD.replace(
    "  what: places\n", "  what: places\n  attributes: {time: {description: time of day}}\n"
)


def listing(items_of_page):
    """Return a model that answers a page with `items_of_page(number of the next place, count)`."""

    def answer(request):
        block = block_of(request)
        last = block["exclude"][-1].split()[-1] if block["exclude"] else "-1"
        start = int(last) + 1 if last.removeprefix("-").isdigit() else 0
        return {"items": items_of_page(start, block["wanted"]["count"])}

    return ScriptedModel(answer)


def places(start, count):
    return [
        {"domain": f"field {n // 3}", "text": f"place {n}"} for n in range(start, start + count)
    ]


async def contexts_of(spec, model):
    vocabularies = (await run_step("vocabularies", spec, {}, None)).table
    return await run_step("contexts", spec, {"vocabularies": vocabularies}, model)


async def test_the_number_grows_with_the_slots_and_the_rows_of_fewer_stay(tmp_path):
    tables = {}
    for rows in (12, 100, 1000):
        spec = spec_of(tmp_path, GROWING, rows)
        tables[rows] = (await contexts_of(spec, listing(places))).table
        needed = contexts_needed(spec.slots_seeded, 4)
        assert needed <= len(tables[rows]) < needed + 6
    assert tables[100].head(len(tables[12])).equals(tables[12])
    assert tables[1000].head(len(tables[100])).equals(tables[100])
    assert len(tables[12]) <= 12
    assert 30 < len(tables[1000]) < 50


async def test_pages_have_one_size_and_say_what_is_there(tmp_path):
    model = listing(places)
    await contexts_of(spec_of(tmp_path, GROWING, 2000), model)
    blocks = [block_of(request) for request in model.history]
    assert {block["wanted"]["count"] for block in blocks} == {6}
    assert max(len(block["exclude"]) for block in blocks) == 40
    assert "domains_used_up" not in blocks[0]
    assert blocks[1]["domains_used_up"] == ["field 0", "field 1"]
    assert blocks[-1]["exclude"][-1] == f"place {6 * len(blocks) - 7}"
    assert list(blocks[0])[:2] == ["task", "wanted"]


async def test_a_domain_is_an_attribute_unless_the_task_has_one(tmp_path):
    made = await contexts_of(spec_of(tmp_path, MOOD), listing(places))
    assert made.table["attributes"][0].to_list() == [{"name": "domain", "value": "field 0"}]
    own = MOOD.replace("what: places\n", "what: places\n  attributes: {domain: {description: d}}\n")
    model = random_model()
    made = await contexts_of(spec_of(tmp_path, own), model)
    assert [pair["name"] for pair in made.table["attributes"][0]] == ["domain"]
    (block,) = [block_of(request) for request in model.history]
    assert "domains_used_up" not in block
    assert "a wide field" not in model.history[0].messages[0]["content"]


async def test_a_fixed_count_is_met_exactly_with_smaller_last_pages(tmp_path):
    model = listing(places)
    made = await contexts_of(spec_of(tmp_path, MOOD.replace("count: 2", "count: 14")), model)
    assert len(made.table) == 14
    assert [block_of(r)["wanted"]["count"] for r in model.history] == [6, 6, 2]


async def test_the_same_text_counts_only_with_other_attributes(tmp_path):
    def same(start, count):
        return [
            {"domain": f"d{n}", "text": "Notes and moods", "time": f"time {n % 4}"}
            for n in range(count)
        ]

    spec = spec_of(tmp_path, PLACES.replace("count: 2", "count: 6"))
    made = await contexts_of(spec, listing(same))
    assert len(made.table) == 4
    assert Counter(made.rejected["reason"]) == {"duplicate": 2 + 4 * 2}
    assert "the model gave 4 of 6 contexts" in made.warnings
    assert any("only 1 different texts" in warning for warning in made.warnings)
    alone = await contexts_of(spec_of(tmp_path, MOOD), listing(same))
    assert len(alone.table) == 1


async def test_equal_attributes_with_another_text_are_another_context(tmp_path):
    def alike(start, count):
        return [{"domain": "d", "text": f"p{n}", "time": "noon"} for n in range(count)]

    made = await contexts_of(spec_of(tmp_path, PLACES), listing(alike))
    assert made.table["text"].to_list() == ["p0", "p1"]


@pytest.mark.parametrize("given", [1, 4])
async def test_a_model_that_gives_fewer_items_is_asked_for_the_next_page(tmp_path, given):
    model = listing(lambda start, count: places(start, given))
    spec = spec_of(tmp_path, GROWING, 100)
    made = await contexts_of(spec, model)
    needed = contexts_needed(spec.slots_seeded, 4)
    assert needed <= len(made.table) < needed + given
    assert set(made.rejected["reason"]) == {"missing"}
    assert made.asked == len(made.table) + len(made.rejected)


async def test_a_model_that_stops_early_gives_the_same_list_for_any_number_of_rows(tmp_path):
    def few(start, count):
        return places(start, 3)[: 7 - start] if start < 7 else places(0, 3)

    small = await contexts_of(spec_of(tmp_path, GROWING, 100), listing(few))
    large = await contexts_of(spec_of(tmp_path, GROWING, 1000), listing(few))
    assert len(small.table) == 7
    assert small.table.equals(large.table)


async def test_the_answer_s_limit_follows_the_page_and_never_passes_the_recipe_s(tmp_path):
    limits = {}
    for more in ("", ", page: 2", ", max_output_tokens: 300"):
        model = listing(places)
        text = MOOD.replace("count: 2", f"count: 4{more}")
        await contexts_of(spec_of(tmp_path, text), model)
        limits[more] = model.history[0].sampling.max_output_tokens
    assert limits[", max_output_tokens: 300"] == 300
    assert 200 < limits[", page: 2"] < limits[""] < 1024
