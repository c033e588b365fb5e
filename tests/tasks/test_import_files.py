import json

import polars as pl
import pytest

from targen.errors import TableError
from targen.tasks.import_files import read


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_all_kinds_hold_the_same(tmp_path):
    frame = pl.DataFrame({"a": ["x, y", 'say "z"'], "b": ["1", "ü\u2028"]})
    for name, text in (
        ("t.csv", frame.write_csv()),
        ("t.tsv", frame.write_csv(separator="\t")),
        ("t.jsonl", frame.write_ndjson()),
        ("t.CSV", "\ufeff" + frame.write_csv()),
    ):
        rows = read(written(tmp_path, name, text))
        assert rows.columns == frame.to_dict(as_series=False), name
        assert rows.place_word == "line"
        assert list(rows.places) == ([1, 2] if name == "t.jsonl" else [2, 3])
    frame.write_parquet(tmp_path / "t.parquet")
    rows = read(tmp_path / "t.parquet")
    assert rows.columns == frame.to_dict(as_series=False)
    assert (rows.place_word, list(rows.places)) == ("row", [1, 2])


def test_a_tsv_without_quoting_is_taken_as_it_stands(tmp_path):
    text = 'a\tb\r\n"He" said "no"\tx\r\n"odd\t"\r\n'
    assert read(written(tmp_path, "glue.tsv", text)).columns == {
        "a": ['"He" said "no"', '"odd'],
        "b": ["x", '"'],
    }


def test_a_tsv_with_quoting_is_read_with_it(tmp_path):
    text = 'a\tb\n"x\ty"\tz\n"two\nlines"\t"say ""no"""\n'
    rows = read(written(tmp_path, "quoted.tsv", text))
    assert rows.columns == {"a": ["x\ty", "two\nlines"], "b": ["z", 'say "no"']}
    assert rows.places == [2, 3]


def test_lines_are_those_of_the_file(tmp_path):
    rows = read(written(tmp_path, "t.csv", 'a\n"one\ntwo"\n\nlast\n'))
    assert (rows.columns["a"], rows.places) == (["one\ntwo", "last"], [2, 5])
    rows = read(written(tmp_path, "t.jsonl", '{"a": 1}\n\n{"b": 2}\n'))
    assert rows.columns == {"a": [1, None], "b": [None, 2]}
    assert rows.places == [1, 3]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.txt", "a", r"must end in \.parquet, \.jsonl, \.csv or \.tsv"),
        ("t", "a", "must end in"),
        ("t.csv", "", "t.csv holds no row"),
        ("t.csv", "a,b\n", "holds no row"),
        ("t.tsv", "\n\n", "holds no row"),
        ("t.jsonl", "\n", "holds no row"),
        ("t.csv", b"a,b\n1,2\n1,\xe4\n", "not UTF-8: line 3 holds the byte 0xe4"),
        ("t.jsonl", b'{"a": "\xff"}\n', "not UTF-8: line 1"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "line 2: this is no JSON"),
        ("t.jsonl", "[1]", "line 1: a row must be a JSON object"),
        ("t.jsonl", "[" * 100_000, "line 1: this is no JSON"),
        ("t.csv", "a,b\n1,2\n3\n", "line 3: 1 cells, and the header has 2"),
        ("t.csv", 'a,b\n"x"y,2\n', "line 2: the row cannot be read"),
        ("t.csv", 'a,b\n"x,2\n', "line 2: the row cannot be read"),
        ("t.csv", "a,a\n1,2\n", "two columns named 'a'"),
        ("t.parquet", "PAR1", "not a readable Parquet file"),
        ("t.parquet", "", "not a readable Parquet file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, name, content, words):
    with pytest.raises(TableError, match=words):
        read(written(tmp_path, name, content))


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    for suffix in ("csv", "parquet", "jsonl"):
        with pytest.raises(TableError, match=r"There is no file .*absent"):
            read(tmp_path / f"absent.{suffix}")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match="cannot be read"):
        read(tmp_path / "folder.csv")


def test_a_parquet_file_without_a_row(tmp_path):
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match="holds no row"):
        read(tmp_path / "t.parquet")


def test_a_megabyte_in_a_cell_and_control_characters(tmp_path):
    text = "x" * 1_000_000 + "\x00\u202e"
    rows = read(written(tmp_path, "t.csv", f"a,b\n{text},1\n"))
    assert rows.columns["a"] == [text]
    rows = read(written(tmp_path, "t.jsonl", json.dumps({"a": text})))
    assert rows.columns["a"] == [text]
