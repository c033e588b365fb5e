import gzip
import json
import time

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from targen.errors import TableError
from targen.tasks import import_files
from targen.tasks.import_files import read, read_table


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
        ("t.ndjson", frame.write_ndjson()),
        ("t.csv.gz", gzip.compress(frame.write_csv().encode())),
        ("t.jsonl.zst", zstandard.compress(frame.write_ndjson().encode())),
        ("t.TSV.GZ", gzip.compress(frame.write_csv(separator="\t").encode())),
        ("t.CSV", "\ufeff" + frame.write_csv()),
    ):
        rows = read(written(tmp_path, name, text))
        assert rows.columns == frame.to_dict(as_series=False), name
        assert rows.place_word == "line"
        assert list(rows.places) == ([1, 2] if "json" in name else [2, 3]), name
        assert (rows.separated_by is None) == ("json" in name)
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


def test_empty_rows_of_a_tsv_are_skipped(tmp_path):
    rows = read(written(tmp_path, "t.tsv", '\t\na\tb\n"x" y\t1\n\t\nz\t2\n\t\n\n'))
    assert rows.columns == {"a": ['"x" y', "z"], "b": ["1", "2"]}
    assert (rows.header, rows.places) == (2, [3, 5])
    rows = read(written(tmp_path, "t.tsv", 'sep=\t\na\tb\n"x"\t1\n'))
    assert rows.columns == {"a": ["x"], "b": ["1"]}


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
    "content",
    [
        '[{"a": "x", "b": 1}, {"a": "y"}]',
        '{"version": 2, "data": [{"a": "x", "b": 1}, {"a": "y"}]}',
        '{"a": ["x", "y"], "b": [1, null]}',
        '{"a": {"0": "x", "1": "y"}, "b": {"0": 1, "1": null}}',
        '{"a": "x", "b": 1}\n{"a": "y"}\n',
    ],
)
def test_json_as_other_programs_write_it(tmp_path, content):
    assert read(written(tmp_path, "t.json", content)).columns == {"a": ["x", "y"], "b": [1, None]}


@pytest.mark.parametrize(
    ("text", "called"),
    [("a;b,c\n1;2\n", "semicolons"), ("a|b\n1|2\n", "vertical bars"), ("a\tb\n1\t2\n", "tabs")],
)
def test_the_separator_is_found_and_named(tmp_path, text, called):
    rows = read(written(tmp_path, "t.csv", text))
    assert (rows.separated_by, len(rows.columns)) == (called, 2)


def test_numbers_of_classes_are_read_as_their_names(tmp_path):
    table = pa.table({"text": ["x", "y", "z"], "label": [1, 0, -1], "n": [0, 1, 2]})
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "n": {"_type": "Value"}}
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(described), tmp_path / "t.parquet")
    columns = read(tmp_path / "t.parquet").columns
    assert (columns["label"], columns["n"]) == (["yes", "no", None], [0, 1, 2])
    broken = {"huggingface": '{"info": {"features": {"label": 3}}}'}
    pq.write_table(table.replace_schema_metadata(broken), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").columns["label"] == [1, 0, -1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv.gz", "a\n1\n", "t.csv.gz cannot be decompressed with gzip"),
        (
            "t.csv.gz",
            gzip.compress(b"a\n1\n" * 99, mtime=0)[:-12],
            "cannot be decompressed with gzip",
        ),
        ("t.csv.zst", "a\n1\n", "t.csv.zst cannot be decompressed with Zstandard"),
        (
            "t.csv.zst",
            zstandard.compress(b"".join(b"%d\n" % (n * n) for n in range(99999)))[:-9],
            "decompressed with Zstandard: the file is incomplete",
        ),
        (
            "t.csv",
            gzip.compress(b"a\n1\n", mtime=0),
            r"t.csv is compressed with gzip: let .* end in \.gz",
        ),
        ("t.csv", b"PAR1....PAR1", r"is a Parquet file: let its name end in \.parquet"),
        ("t.csv", b"PK\x03\x04rest", "is a workbook or an archive .*: save it as CSV, UTF-8"),
        ("t.xlsx", b"PK\x03\x04rest", "'t.xlsx' is a spreadsheet: save it as CSV"),
        ("t.cvs", "a\n1\n", r"did you mean '\.csv'\?"),
        ("t.gz", "a\n1\n", "must end in"),
        ("t.json", '{"a": 1, "b": 2}', "expected a list of objects.*Found an object with the keys"),
        ("t.json", '{"a": [1, 2], "b": [1]}', "expected a list of objects"),
        ("t.json", "[1, 2]", "Found a list with other items"),
        ("t.json", "3", "Found a single value"),
        ("t.json", "[]", "contains no rows"),
        ("t.json", '[{"a": 1},\n {"a": ]', "t.json is not valid JSON: .*line 2"),
        ("t.json", '{"a": 1}\n{"a": }\n', "t.json, line 2 is not valid JSON"),
        ("t.json", '[{"a": 1, "a": 2}]', "two values for 'a'"),
        ("t.json", "[" * 100_000, "nested too deeply|not valid JSON"),
        ("t.txt", "a", r"must end in \.parquet, \.jsonl, \.ndjson, \.json, \.csv or \.tsv"),
        ("t", "a", "must end in"),
        ("t.csv", "", "t.csv contains no rows"),
        ("t.csv", "a,b\n", "contains no rows"),
        ("t.tsv", "\n\n", "contains no rows"),
        ("t.jsonl", "\n", "contains no rows"),
        ("t.csv", b"a,b\n1,2\n1,\xe4\n", "not UTF-8: line 3 contains the byte 0xe4"),
        ("t.jsonl", b'{"a": "\xff"}\n', "not UTF-8: line 1"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "line 2 is not valid JSON"),
        ("t.jsonl", "[1]", r"line 1: a row must be a JSON object\. Let the name .* in \.json"),
        ("t.jsonl", "[" * 100_000, "line 1 is not valid JSON"),
        ("t.csv", "a,b\n1,2\n3\n", "line 3 has 1 cells, but the header has 2"),
        ("t.csv", 'a,b\n"x"y,2\n', "line 2: the row cannot be read"),
        ("t.csv", 'a,b\n"x,2\n', "line 2: the row cannot be read"),
        ("t.csv", "a,b\n1,2\nWhere is it, and when?,2\n", "line 3 has 3 cells.*commas: put a text"),
        ("t.csv", "sep=;\na;b\n1;2;3\n", "line 3 has 3 cells.*semicolons"),
        ("t.csv", "a,\n1,\nWhere is it, and when?\n", "line 3: cell 2 belongs to a column without"),
        ("t.csv", "a\nThanks,\n", "line 2 has 2 cells, but the header has 1"),
        ("t.csv", "a,a\n1,2\n", "line 1: two columns named 'a'"),
        ("t.csv", "sep=;\na;b;b\n1;2;3\n", "line 2: two columns named 'b'"),
        ("t.tsv", "a\ta\n1\t2\n", "two columns named 'a'"),
        ("t.jsonl", '{"a": 1}\n{"a": 1, "b": 2, "a": 3}', "line 2: two values for 'a'"),
        ("t.csv", "\ufeffa,b\n1,ü\n".encode("utf-16-le")[:-1], "not UTF-16: line 2"),
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
    with pytest.raises(TableError, match="contains no rows"):
        read(tmp_path / "t.parquet")


def test_a_megabyte_in_a_cell_and_control_characters(tmp_path):
    text = "x" * 1_000_000 + "\x00\u202e"
    rows = read(written(tmp_path, "t.csv", f"a,b\n{text},1\n"))
    assert rows.columns["a"] == [text]
    rows = read(written(tmp_path, "t.jsonl", json.dumps({"a": text})))
    assert rows.columns["a"] == [text]


TEXTS = ["two\nlines, with; all\tmarks|", "ü", 'say "z"']


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_separator_and_the_encoding_are_found(tmp_path, separator, encoding, ending):
    quoted = [f'"{text}"'.replace('say "z"', 'say ""z""') for text in TEXTS]
    lines = ["a;b" if separator == "," else "a,b", *quoted]
    header, *rows = [f'"{lines[0]}"{separator}n', *(f"{text}{separator}1" for text in quoted)]
    blank = [separator, separator]
    text = "\n".join([header, *rows, *blank, ""]).replace("\n", ending)
    for name in ("t.csv", *(["t.tsv"] if separator == "\t" else [])):
        found = read(written(tmp_path, name, text.encode(encoding)))
        assert found.columns == {lines[0]: TEXTS, "n": ["1"] * 3}
        assert list(found.places) == [2, 4, 5]


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\n', "SEP=;;\n", "sep=;\r\n"])
def test_excels_separator_line_is_no_header(tmp_path, first):
    rows = read(written(tmp_path, "t.csv", f"{first}a;b\n1;2,5\n"))
    assert (rows.columns, rows.places) == ({"a": ["1"], "b": ["2,5"]}, [3])
    # Saved again with commas, the line itself is a row.
    rows = read(written(tmp_path, "t.csv", '"sep=;",\na,b\n1,2;5\n'))
    assert rows.columns == {"a": ["1"], "b": ["2;5"]}


def test_empty_rows_and_empty_columns_without_a_name_are_skipped(tmp_path):
    rows = read(written(tmp_path, "t.csv", "a,b,,\n1,2,,\n,,,\n3,4,,\n,,,\n,,,\n"))
    assert rows.columns == {"a": ["1", "3"], "b": ["2", "4"]}
    assert rows.places == [2, 4]
    assert read(written(tmp_path, "t.csv", ";;\n\n a;b;\n1;2;\n")).columns == {
        " a": ["1"],
        "b": ["2"],
    }
    # The first column of a table that pandas wrote has no name.
    assert read(written(tmp_path, "t.csv", ",a\n0,x\n1,y\n")).columns == {"a": ["x", "y"]}


def test_a_short_row_is_filled_on_request_alone(tmp_path):
    path = written(tmp_path, "t.csv", "a,b,c\n1\n2,3,4\n")
    assert read_table(path, fill=True).columns["c"] == ["", "4"]
    with pytest.raises(TableError, match=r"line 2 has 1 cells, but the header has 3.*empty cell"):
        read(path)


def test_columns_are_found_whatever_their_case(tmp_path):
    rows = read(written(tmp_path, "t.csv", " Note ,TEXT,text,Label\n1,2,3,4\n"))
    assert rows.find("note") == " Note "
    assert rows.find("text") == "text" and rows.find("Text") is None
    assert rows.find("absent", "LABEL") == "Label" and rows.find("absent") is None


def test_the_columns_of_a_wide_file_take_linear_time(tmp_path):
    file = tmp_path / "wide.csv"
    file.write_text(",".join([*(f"c{n}" for n in range(100_000)), "z", "z"]) + "\n1\n")
    started = time.monotonic()
    with pytest.raises(TableError, match="two columns named 'z'"):
        read(file)
    # Quiet machines need less than one second; counting every name took two minutes.
    assert time.monotonic() - started < 20


def test_keys_of_every_row_are_no_columns(tmp_path):
    file = tmp_path / "sparse.jsonl"
    rows = [{"text": "a", **{f"k{row} {key}": 1 for key in range(30)}} for row in range(1000)]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(TableError, match="30,001 different keys"):
        read(file)
    file.write_text("\n".join(map(json.dumps, rows[:100])))
    assert len(read(file).columns) == 3001


@pytest.mark.parametrize("kind", ["rows", "texts"])
def test_a_parquet_bomb_is_refused(tmp_path, monkeypatch, kind):
    count, text = (3_000_000, "a") if kind == "rows" else (1000, "a" * 10_000)
    monkeypatch.setattr(import_files, "_MOST_PACKED", 1_000_000)
    monkeypatch.setattr(import_files, "MOST_BYTES", 1_000_000)
    file = tmp_path / "bomb.parquet"
    codes = pa.array([0] * count, type=pa.int32())
    packed = pa.DictionaryArray.from_arrays(codes, pa.array([text]))
    pq.write_table(pa.table({"text": packed, "label": packed}), file, compression="zstd")
    assert file.stat().st_size < 200_000
    with pytest.raises(TableError, match="in few bytes" if kind == "rows" else "bytes of text"):
        read(file)
