"""Texts in the card: shown, and nothing else."""

import pytest
from ruamel.yaml import YAML

from targen.release import card
from tests.support.specs import real_task


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("[a](http://x) `c` | d", r"\[a\](http://x) \`c\` \| d"),
        ("a\nb\x00\u202ec", "a b c"),
        ("---", "---"),
    ],
)
def test_a_text_cannot_leave_its_line_or_make_markup(text: str, shown: str) -> None:
    assert card.plain(text) == shown


@pytest.mark.parametrize(
    "title", ['a "quoted": # title', "x\n---\ny", "caf\xe9 \U0001f600", "\x7f{}"]
)
def test_a_title_stays_one_text_in_the_header(title: str) -> None:
    read = YAML(typ="safe").load(f"pretty_name: {card._quoted(title)}")
    assert list(read) == ["pretty_name"] and isinstance(read["pretty_name"], str)
    assert "\n" not in read["pretty_name"]


@pytest.mark.parametrize(
    ("task", "category"),
    [
        ("copa", "multiple-choice"),
        ("record", "question-answering"),
        ("stories", "text-classification"),
        ("instructions", "text-generation"),
        ("boolq", "text-classification"),
    ],
)
def test_tasks_are_sorted_as_the_hub_sorts_them(task: str, category: str) -> None:
    assert card.task_category(real_task(task)) == category
