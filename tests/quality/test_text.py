import re

import polars as pl

from targen.quality.text import joined, segments, tokens, words


def test_words_equal_pythons_word_pattern_on_plain_text():
    text = ["Don't stop-here, 3 times!", "naïve Straße", "", None, "a_b  c"]
    wanted = [re.findall(r"\w+(?:['’]\w+)*", (t or "").lower()) for t in text]
    assert words(pl.Series(text)).to_list() == wanted


def test_scripts_without_spaces_give_one_word_a_character():
    assert words(pl.Series(["東京 is good"])).to_list() == [["東", "京", "is", "good"]]


def test_segments_keep_row_and_field_order_and_skip_nulls():
    frame = pl.DataFrame({"a": ["x", None], "b": [["p", "q"], []]})
    assert segments(frame, ["a", "b"])["text"].to_list() == ["x", "p", "q"]
    assert joined(frame, ["a", "b"]).to_list() == ["x\np\nq", ""]


def test_grams_are_exact_and_do_not_cross_texts():
    frame = pl.DataFrame({"a": ["one two one two", "two", ""], "b": ["one", "one two", "x"]})
    text = tokens(frame, ["a", "b"])
    for n in (1, 2, 3):
        wanted = []
        for row in frame.iter_rows():
            for part in row:
                split = part.split()
                wanted += [tuple(split[i : i + n]) for i in range(len(split) - n + 1)]
        codes = text.grams(n)
        codes = codes[codes >= 0]
        assert len(codes) == len(wanted)
        assert len(set(codes.tolist())) == len(set(wanted))
        assert len(set(zip(codes.tolist(), wanted, strict=True))) == len(set(wanted))


def test_take_cuts_the_last_row():
    text = tokens(pl.DataFrame({"a": ["a b c", "d e", "f"]}), ["a"])
    taken = [text.vocabulary[i] for i in text.ids[text.take([2, 0, 1], 3)]]
    assert taken == ["f", "a", "b"]
    assert text.take([], 3).size == 0


def test_empty_frame_has_no_words():
    text = tokens(pl.DataFrame({"a": []}, schema={"a": pl.String}), ["a"])
    assert text.ids.size == 0
    assert text.grams(2).size == 0
