"""Text as Windows, old Macs and damaged disks leave it: read as UTF-8 with line feeds, or refused in one sentence."""

import csv
import gzip
import io
import json
import lzma
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful._errors import DataError
from heedful.data.encodings import as_utf8
from heedful.data.files import read_raw_lines
from heedful.data.readers import parse_lines, read_lines, read_pairs, stream_lines
from heedful.data.vocabulary import read_entries

PACKERS = {"plain": bytes, "gz": gzip.compress, "xz": lzma.compress}
MARKED = {
    "utf-8-sig": "\ufeff".encode(),
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
    "utf-32-le": b"\xff\xfe\0\0",
    "utf-32-be": b"\0\0\xfe\xff",
}
ENDINGS = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
PAIRS = [("Go.", "Va !"), ("Where is the café?", "Où est le café ?"), ("\U0001f600 it is", "一 中文 は")]


def encode(text: str, encoding: str) -> bytes:
    return MARKED[encoding] + text.encode(encoding.removesuffix("-sig")) if encoding in MARKED else text.encode()


def as_text(form: str, pairs: list[tuple[str, str]], ending: str) -> str:
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator=ending).writerows([("en", "fr"), *pairs])
        return text.getvalue()
    if form == "jsonl":
        return "".join(json.dumps({"en": en, "fr": fr}, ensure_ascii=False) + ending for en, fr in pairs)
    return "".join(f"{en}\t{fr}{ending}" for en, fr in pairs)


def read_back(folder: Path, form: str, pairs: list[tuple[str, str]], encoding: str, ending: str, pack=bytes):
    if form == "lines":
        sides = zip(*pairs, strict=True)
        for name, side in zip(("a.en", "a.fr"), sides, strict=True):
            (folder / name).write_bytes(pack(encode("".join(f"{line}{ending}" for line in side), encoding)))
        found = read_pairs(folder / "a.en", folder / "a.fr")
    else:
        path = folder / f"a.{form}"
        path.write_bytes(pack(encode(as_text(form, pairs, ending), encoding)))
        found = read_pairs(path, columns=None if form == "tsv" else ("en", "fr"))
    assert found.skipped == {}
    return list(zip(found.source, found.target, strict=True))


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("encoding", ["utf-8", *MARKED])
@pytest.mark.parametrize("ending", ENDINGS, ids=ENDINGS.values())
def test_every_form_in_every_encoding_with_every_line_end_gives_the_same_pairs(tmp_path, packer, encoding, ending):
    for form in ("lines", "tsv", "csv", "jsonl"):
        assert read_back(tmp_path, form, PAIRS, encoding, ending, PACKERS[packer]) == PAIRS


line = st.text(
    st.characters(exclude_characters="\n\r\t\ufeff\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(str.strip)


@given(
    pairs=st.lists(st.tuples(line, line), min_size=1, max_size=6),
    form=st.sampled_from(["lines", "tsv", "csv", "jsonl"]),
    encoding=st.sampled_from(["utf-8", *MARKED]),
    ending=st.sampled_from(list(ENDINGS)),
)
def test_any_text_comes_back_whatever_its_encoding(tmp_path_factory, pairs, form, encoding, ending):
    assert read_back(tmp_path_factory.mktemp("any"), form, pairs, encoding, ending) == pairs


@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\0"), max_size=60),
    encoding=st.sampled_from(list(MARKED)),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=30),
)
def test_a_stream_in_pieces_gives_what_the_whole_gives(text, encoding, sizes):
    data = encode(text, encoding)

    def whole(read):
        return as_utf8(read, "here").read()

    source, turn = io.BytesIO(data), iter(sizes * (len(data) + 1))
    plain = text.replace("\r\n", "\n").replace("\r", "\n") if "\n" not in text else text
    assert whole(io.BytesIO(data).read1) == whole(lambda _: source.read1(next(turn))) == plain.encode()


def test_a_line_is_handed_on_as_soon_as_it_is_there():
    for encoding in MARKED:
        pieces = [encode("one\n", encoding), "two\n".encode(encoding.removesuffix("-sig"))]
        text = as_utf8(lambda _, pieces=pieces: pieces.pop(0) if pieces else b"", "here")
        assert text.read1() == b"one\n"
        assert len(pieces) == 1
    pieces = [b"a\n", b"b\n"]
    assert as_utf8(lambda _: pieces.pop(0), "here").read1() == b"a\n"
    assert len(pieces) == 1


@pytest.mark.parametrize("encoding", [one for one in MARKED if one != "utf-8-sig"])
@pytest.mark.parametrize("text", ["a\n", "Go.\tVa !\n", "Où est-il ?\tWhere?\r\n" * 3000, "Go."])
def test_wide_text_without_a_mark_is_refused_with_the_way_out(tmp_path, encoding, text):
    data = text.encode(encoding)
    for packer in PACKERS.values():
        path = tmp_path / "a.tsv"
        path.write_bytes(packer(data))
        name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
        sentence = re.escape(
            f"{path} is {name} without a byte-order mark; save it as UTF-8, or convert it: iconv -f {name} -t UTF-8."
        )
        for read in (read_pairs, read_lines, read_entries, lambda path: list(stream_lines(path))):
            with pytest.raises(DataError, match=rf"^{sentence}$"):
                read(path)
    with pytest.raises(DataError, match="standard input is UTF-"):
        parse_lines(data, origin="standard input")


def test_a_few_nul_characters_are_no_wide_text_and_are_left_out_and_counted(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"one\0\tun\ntwo\tdeux\nthree\t\0\0\0\nfour\tquatre\n" + b"\0" * 40)
    pairs = read_pairs(tmp_path / "a.tsv")
    assert (pairs.source, pairs.skipped) == (["two", "four"], {"NUL character": 2, "too few columns": 1})
    (tmp_path / "a.jsonl").write_text('{"en": "a\\u0000b", "fr": "c"}\n{"en": "d", "fr": "e"}\n\0{}\n')
    pairs = read_pairs(tmp_path / "a.jsonl", columns=("en", "fr"))
    assert (pairs.source, pairs.skipped) == (["d"], {"NUL character": 1, "not a JSON object": 1})
    (tmp_path / "a.csv").write_bytes(b"one\0,un\ntwo,deux\n")
    pairs = read_pairs(tmp_path / "a.csv")
    assert (pairs.source, pairs.skipped) == (["two"], {"NUL character": 1})
    lines = parse_lines(b"a\n\0\nb\0\n", origin="here")
    assert (lines.text, lines.skipped) == (["a", "", ""], {"NUL character": 2})


@pytest.mark.parametrize("encoding", [one for one in MARKED if one != "utf-8-sig"])
def test_half_a_character_is_left_out_with_its_line_alone(encoding):
    lines = [encode("one\n", encoding), "tw\ud800o\n".encode(encoding, "surrogatepass"), "three".encode(encoding)]
    found = parse_lines(b"".join(lines), origin="here")
    assert (found.text, found.skipped) == (["one", "", "three"], {"invalid UTF-8": 1})
    cut = parse_lines(b"".join([lines[0], lines[2]])[:-1], origin="here")
    assert (cut.text, cut.skipped) == (["one", ""], {"invalid UTF-8": 1})


def test_code_points_beyond_unicode_are_left_out_with_their_line_alone():
    data = MARKED["utf-32-le"] + "one\n".encode("utf-32-le") + b"\xff\xff\xff\x7f" + "\ntwo".encode("utf-32-le")
    found = parse_lines(data, origin="here")
    assert (found.text, found.skipped) == (["one", "", "two"], {"invalid UTF-8": 1})


def test_a_mark_alone_is_an_empty_file():
    for mark in MARKED.values():
        assert parse_lines(mark, origin="here").text == []
        assert parse_lines(mark[:1], origin="here").skipped in ({"invalid UTF-8": 1}, {"NUL character": 1})


def test_carriage_returns_end_lines_only_where_no_line_feed_does(tmp_path):
    assert parse_lines(b"one\rtwo\r\rthree\r", origin="here").text == ["one", "two", "", "three"]
    assert parse_lines(b"one\rtwo\nthree\r\n", origin="here").text == ["one\rtwo", "three"]
    (tmp_path / "a.txt").write_bytes(b"one\r" * 40_000)
    assert list(read_raw_lines(tmp_path / "a.txt")) == [b"one"] * 40_000


def test_a_carriage_return_at_the_end_of_a_piece_makes_one_line_end():
    for cut in range(1, 130_000, 9_973):
        data = b"abc\r" * 20_000 + b"d\r\ne"
        pieces = [data[:cut], data[cut:]]
        found = as_utf8(lambda _, pieces=pieces: pieces.pop(0) if pieces else b"", "here").read()
        assert found == b"abc\n" * 20_000 + b"d\ne"
    pieces = [b"a\r" * 40_000, b"\nb", b"\r", b"\nc\r"]
    assert as_utf8(lambda _: pieces.pop(0) if pieces else b"", "here").read() == b"a\n" * 40_000 + b"b\nc\n"


def test_a_vocabulary_may_be_wide_text(tmp_path):
    (tmp_path / "words.txt").write_bytes("the\t912\r\ncafé\r\n".encode("utf-16"))
    assert read_entries(tmp_path / "words.txt") == ["the", "café"]
