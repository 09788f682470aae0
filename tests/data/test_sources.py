"""Every form in which people have pairs gives the same pairs, and every fault is counted or told in one sentence."""

import csv
import gzip
import io
import json
import lzma
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful._errors import DataError
from heedful.data import files, sources
from heedful.data.files import find_files, read_raw_lines
from heedful.data.readers import gather, read_pairs, stream
from heedful.data.sources import DataSource, find_source

PAIRS = [("Go, now.", "Va !"), ('He said "hi".', "Il a dit « salut »."), ("NA", "null"), ("日本語", "שלום עולם")]
PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def as_csv(pairs, header=("english", "note", "french")):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([*([header] if header else []), *((source, "", target) for source, target in pairs)])
    return text.getvalue().encode()


def as_json(pairs):
    return "".join(json.dumps({"translation": {"en": s, "fr": t}}) + "\n" for s, t in pairs).encode()


TABLES = {
    "a.tsv": ("".join(f"{s}\t{t}\n" for s, t in PAIRS).encode(), None),
    "b.tsv": (b"fr\ten\n" + "".join(f"{t}\t{s}\n" for s, t in PAIRS).encode(), ("en", "fr")),
    "c.csv": (as_csv(PAIRS), ("english", "french")),
    "d.csv": (as_csv(PAIRS, header=None), (0, 2)),
    "e.csv": ("\ufeff".encode() + as_csv(PAIRS).replace(b"\r\n", b"\n"), ("english", 2)),
    "f.jsonl": (as_json(PAIRS), ("translation.en", "translation.fr")),
    "g.json": ("".join(json.dumps({"a.b": s, "t": t}) + "\n" for s, t in PAIRS).encode(), ("a.b", "t")),
}


def both(pairs):
    return list(zip(pairs.source, pairs.target, strict=True))


ROWS = [
    ("fr", "aller", "PST,PL", "allèrent"),
    ("en", "go", "PST", "went"),
    ("fr", "être", "", "été"),
    ("fr", "a b", "X", "c"),
]
HEADER = ("language", "lemma", "features", "form")


@pytest.mark.parametrize("name", ["a.tsv", "b.tsv", "c.csv", "d.jsonl", "e.parquet"])
def test_rows_are_chosen_and_columns_joined_in_every_form(tmp_path, name):
    path, named = tmp_path / name, name != "a.tsv"
    records = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    if name == "e.parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif name == "d.jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, delimiter="," if name == "c.csv" else "\t", lineterminator="\n")
            rows.writerows([*([HEADER] if named else []), *ROWS])
    columns = (("features", "lemma"), "form") if named else ((2, 1), 3)
    where = "language" if named else 0
    found = find_source(path, columns=columns)
    pairs = gather(replace(found, where=(where, "fr")))
    # a part that is empty makes an empty source
    assert both(pairs) == [("PST,PL aller", "allèrent"), ("X a b", "c")]
    assert pairs.skipped == {"empty line": 1}
    with pytest.raises(DataError, match=r" has no row with 'de' in column .*, but fr, en\."):
        gather(replace(found, where=(where, "de")))


def test_a_joined_column_that_is_missing_is_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": "y", "c": "z"}\n{"a": "x", "c": "z"}\n{}\n', encoding="utf-8")
    pairs = gather(DataSource("json", str(tmp_path / "a.jsonl"), columns=(("a", "b"), "c"), where=("c", "z")))
    assert (both(pairs), pairs.skipped) == ([("x y", "z")], {"key missing": 2})


def test_a_row_that_does_not_say_whether_it_is_wanted_is_left_out_and_counted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": "y", "c": "fr"}\n{"a": "v", "b": "w"}\n', encoding="utf-8")
    source = DataSource("json", str(tmp_path / "a.jsonl"), columns=("a", "b"), where=("c", "fr"))
    pairs = gather(source)
    assert (both(pairs), pairs.skipped) == ([("x", "y")], {"key missing": 1})
    with pytest.raises(DataError, match=r"every line was left out, key missing \(2\)"):
        gather(replace(source, where=("language", "fr")))


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("name", TABLES)
def test_every_table_gives_the_same_pairs_however_packed(tmp_path, name, packing):
    data, columns = TABLES[name]
    path = tmp_path / (name + packing)
    path.write_bytes(PACKERS[packing](data))
    pairs = read_pairs(path, columns=columns)
    assert both(pairs) == PAIRS
    assert pairs.skipped == {}


@pytest.fixture
def parquet(tmp_path):
    records = [{"translation": {"en": s, "fr": t}, "id": i / 2, "a.b": s} for i, (s, t) in enumerate(PAIRS)]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_parquet_gives_the_same_pairs(parquet):
    assert both(read_pairs(parquet, columns=("translation.en", "translation.fr"))) == PAIRS
    assert both(read_pairs(parquet, columns=("a.b", "translation.fr"))) == PAIRS
    with pytest.raises(DataError, match=r"a\.parquet has no column 'text'; expected one of translation, id, a\.b\."):
        read_pairs(parquet, columns=("text", "id"))
    with pytest.raises(DataError, match=r"gives no pair to use: every line was left out, not text \(4\)"):
        read_pairs(parquet, columns=("id", "a.b"))
    parquet.write_bytes(parquet.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.parquet is no Parquet file or damaged \(.+\); fetch it again\."):
        read_pairs(parquet, columns=("a.b", "id"))


def test_a_data_set_of_hugging_face_gives_the_same_pairs(tmp_path, parquet):
    datasets = pytest.importorskip("datasets")
    columns = ("translation.en", "translation.fr")
    data = datasets.Dataset.from_list([{"translation": {"en": s, "fr": t}} for s, t in PAIRS])
    data.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict({"train": data.select([0]), "test": data}).save_to_disk(str(tmp_path / "splits"))
    folder = tmp_path / "folder"
    folder.mkdir()
    parquet.rename(folder / "train.parquet")
    for name, split in (("saved", "train"), ("splits", "test"), ("folder", "train")):
        assert both(gather(DataSource("dataset", str(tmp_path / name), columns=columns, split=split))) == PAIRS
    with pytest.raises(DataError, match="splits has no split 'validation'; expected one of train, test"):
        gather(DataSource("dataset", str(tmp_path / "splits"), columns=columns, split="validation"))
    with pytest.raises(DataError, match=r"saved \(train\) has no column 'en'; expected one of translation"):
        gather(DataSource("dataset", str(tmp_path / "saved"), columns=("en", "fr")))


def test_a_data_set_that_is_nowhere_is_one_sentence(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    with pytest.raises(DataError, match=r"The data set .*none \(train\) cannot be loaded: Couldn't find any data file"):
        gather(DataSource("dataset", str(tmp_path / "none"), columns=("a", "b")))

    def unreachable(*_, **__):
        raise ConnectionError("Couldn't reach the Hub\nafter five tries")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(DataError, match=r"^There is no data set me/mine on this machine, and the hub cannot"):
        gather(DataSource("dataset", "me/mine", columns=("a", "b")))


def test_the_form_is_told_by_the_name(tmp_path):
    for name, form in {"a.csv.xz": "csv", "a.jsonl": "json", "a.ndjson.gz": "json", "a.txt": "tsv", "a": "tsv"}.items():
        assert find_source(name, columns=("x", "y")).form == form
    (tmp_path / "part-1.csv.gz").touch()
    assert find_source(tmp_path).form == find_source(tmp_path / "part-*").form == "csv"
    with pytest.raises(DataError, match=r"a\.jsonl has columns with names; say which hold source and target"):
        find_source("a.jsonl")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").touch()
    assert find_source(tmp_path / "saved", columns=("en", "fr")).form == "dataset"
    with pytest.raises(DataError, match="saved has columns with names; say which hold source and target"):
        find_source(tmp_path / "saved")


def test_two_tables_are_no_two_sides():
    for names in (("a.tsv", "b.tsv"), ("a.csv.gz", "b.fr"), ("a.en", "b.jsonl")):
        with pytest.raises(
            DataError, match=r"^[ab]\.\S+ is a table, which holds both sides; give it alone, and a pattern"
        ):
            find_source(*names)


# --- folders and patterns ---


def test_folders_and_patterns_are_read_in_the_order_of_names(tmp_path):
    for name, text in {"b.tsv": "b\tB\n", "a.tsv": "a\tA\n", "c.tsv": "c\tC\n", ".d.tsv": "d\tD\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "a.tsv.d").mkdir()
    assert read_pairs(tmp_path).source == ["a", "b", "c"]
    assert read_pairs(tmp_path / "[bc].tsv").source == ["b", "c"]
    (tmp_path / "[bc].tsv").write_text("x\tX\n")
    assert read_pairs(tmp_path / "[bc].tsv").source == ["x"]  # a name comes before a pattern


def test_patterns_of_both_sides_go_file_by_file(tmp_path):
    for name, text in {"1.en": "a\n", "1.fr": "A\n", "2.en": "b\nc\n", "2.fr": "B\nC\n"}.items():
        (tmp_path / name).write_text(text)
    assert both(read_pairs(tmp_path / "*.en", tmp_path / "*.fr")) == [("a", "A"), ("b", "B"), ("c", "C")]
    (tmp_path / "2.fr").write_text("B\n")
    with pytest.raises(DataError, match=r"2\.en has 2 lines but .*2\.fr has 1"):
        read_pairs(tmp_path / "*.en", tmp_path / "*.fr")
    (tmp_path / "2.fr").unlink()
    with pytest.raises(DataError, match=r"\*\.en names 2 files but .*\*\.fr names 1; each file of"):
        read_pairs(tmp_path / "*.en", tmp_path / "*.fr")


def test_a_place_without_files_is_told(tmp_path):
    with pytest.raises(DataError, match="is a folder without files; name the folder that holds the text"):
        find_files(tmp_path)
    with pytest.raises(DataError, match=r"No file fits the pattern .*\*\.tsv; check the path"):
        find_files(tmp_path / "*.tsv")
    with pytest.raises(DataError, match=r"There is no file '.*\\x00'; check the path"):
        find_files("a\0")
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        find_files("a" * 5000)


# --- rows that cannot be used ---


def faults(path, columns):
    skipped = Counter()
    return list(stream(find_source(path, columns=columns), skipped)), dict(skipped)


def test_lists_of_texts_are_one_source_and_a_pair_for_each_target(tmp_path):
    rows = [
        {"text": ["One.", "Two."], "title": ["a", "b"], "kind": ["x", "y"]},
        {"text": "Three.", "title": "c", "kind": "x y"},
        {"text": ["Four."], "title": [], "kind": "x y"},
        {"text": ["Five.", 5], "title": "d", "kind": "x y"},
        {"text": ["Six."], "title": ["e", ""], "kind": "x y"},
        {"text": ["Seven."], "title": ["f"], "kind": "z"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pairs = gather(DataSource("json", str(tmp_path / "a.jsonl"), columns=("text", "title"), where=("kind", "x y")))
    assert both(pairs) == [("One. Two.", "a"), ("One. Two.", "b"), ("Three.", "c"), ("Six.", "e")]
    assert pairs.skipped == {"not text": 2, "empty line": 1}
    joined = gather(DataSource("json", str(tmp_path / "a.jsonl"), columns=("kind", ("title", "kind"))))
    assert both(joined)[0] == ("x y", "a b x y")


def test_json_lines_that_cannot_be_used_are_counted(tmp_path):
    lines = [
        b'{"en": "Go.", "fr": "Va !"}',
        b'{"en": "Go."}',
        b'{"en": 3.5, "fr": "trois et demi"}',
        b'{"en": 4, "fr": true}',
        b'{"en": null, "fr": "rien"}',
        b'["en", "fr"]',
        b'{"en": "Go.", "fr": ',
        b'{"en": "\xff", "fr": "x"}',
        b'{"en": "\\ud800", "fr": "half a character"}',
        b"",
        b"[" * 100_000,
        b'{"en": ' + b"9" * 5000 + b', "fr": "x"}',
        b'{"en": "two\\nlines", "fr": "deux\\r\\nlignes"}',
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    found, skipped = faults(tmp_path / "a.jsonl", ("en", "fr"))
    assert found == [("Go.", "Va !"), ("4", "true"), ("two lines", "deux lignes")]
    assert skipped == {
        "key missing": 1,
        "not text": 1,
        "empty line": 2,
        "not a JSON object": 4,
        "invalid UTF-8": 2,
    }


def test_csv_rows_that_cannot_be_used_are_counted(tmp_path):
    text = b'a,b\n1,un\n2\n,trois\n\n"4, ""four""","qua\ntre"\n5\xff,cinq\n'
    (tmp_path / "a.csv").write_bytes(text)
    found, skipped = faults(tmp_path / "a.csv", ("a", "b"))
    assert found == [("1", "un"), ('4, "four"', "qua tre")]
    assert skipped == {"too few columns": 1, "empty line": 2, "invalid UTF-8": 1}


TEXTS = [["Go, now.", "Va !"], ["Stop; wait, then\tgo.", 'Dis "stop" ; attends.'], ["One, two.", "Un, deux."]]


@pytest.mark.parametrize("columns", [(0, 1), ("en", "fr")])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_cells_may_be_separated_by_commas_semicolons_or_tabs(tmp_path, separator, columns):
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([["en", "fr"]] * (columns[0] == "en") + TEXTS)
    assert [list(pair) for pair in both(read_pairs(path, columns=columns))] == TEXTS


def test_cells_that_two_separators_would_part_are_refused_unless_their_columns_have_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Go, now;Va, vite\nOne, two;Un, deux\n")
    with pytest.raises(DataError, match=r"a\.csv can be cut at commas and at semicolons; give it a first row"):
        read_pairs(path)
    path.write_text("en;fr\n" + path.read_text())
    assert read_pairs(path, columns=("en", "fr")).target == ["Va, vite", "Un, deux"]


def test_ragged_rows_are_cut_at_commas(tmp_path):
    (tmp_path / "a.csv").write_text("Go.,Va !\nAlone; here\nHi.,Salut.,note\n")
    found, skipped = faults(tmp_path / "a.csv", None)
    assert (found, skipped) == ([("Go.", "Va !"), ("Hi.", "Salut.")], {"too few columns": 1})


@pytest.mark.parametrize("text", ['a,b\n1,un\n"2,deux\n3,trois\n', 'a,b\n1,un\n"2" x,deux\n'])
def test_a_quote_that_is_not_closed_is_refused_with_its_line(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=r"a\.csv, line [345]: .*; a cell that holds commas or quotes stands in quotes"):
        read_pairs(tmp_path / "a.csv", columns=("a", "b"))


def test_a_name_that_no_column_has_is_told_with_those_that_there_are(tmp_path):
    (tmp_path / "a.csv").write_text("english,french\nGo.,Va !\n")
    (tmp_path / "a.tsv").write_text("")
    with pytest.raises(DataError, match=r"a\.csv has no column 'en'; expected one of english, french\."):
        read_pairs(tmp_path / "a.csv", columns=("en", "french"))
    with pytest.raises(DataError, match=r"a\.tsv has no column 'en'; expected one of \(nothing\)"):
        read_pairs(tmp_path / "a.tsv", columns=("en", "fr"))


def test_a_line_that_never_ends_is_skipped_and_fills_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    for line_len in (99, 100, 101, 200, 1000):
        path = tmp_path / "a.txt"
        path.write_bytes(b"\xef\xbb\xbfone\n" + b"x" * line_len + b"\ntwo\n" + b"y" * line_len)
        lines = list(read_raw_lines(path))
        assert [line[:1] for line in lines] == [b"o", b"x", b"t", b"y"]
        assert max(map(len, lines)) == min(line_len, 100)


characters = st.characters(exclude_characters="\n\r\t\ufeff\0", exclude_categories=["Cs"])
cell = st.text(characters, min_size=1, max_size=9).filter(str.strip)


@given(pairs=st.lists(st.tuples(cell, cell), min_size=1, max_size=9))
def test_any_text_comes_back_from_csv_and_json(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.csv").write_bytes(as_csv(pairs))
    (folder / "a.jsonl").write_bytes(as_json(pairs))
    assert both(read_pairs(folder / "a.csv", columns=("english", "french"))) == pairs
    assert both(read_pairs(folder / "a.jsonl", columns=("translation.en", "translation.fr"))) == pairs
