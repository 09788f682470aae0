"""Reading pairs and sentences: what counts as a line, what is left out and counted, and what is refused."""

import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful import _errors
from heedful.data.readers import parse_lines, read_lines, read_pairs

PACKERS = {"plain": bytes, "gz": gzip.compress, "xz": lzma.compress}


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("packer", PACKERS)
def test_two_files_and_one_table_give_the_same_pairs_however_packed(tmp_path, packer):
    pack = PACKERS[packer]
    english = write(tmp_path, "a.en", pack(b"Go.\nHi.\nRun!\n"))
    french = write(tmp_path, "a.fr", pack("Va !\nSalut.\nCours\u202f!\n".encode()))
    table = write(tmp_path, "a.tsv", pack("Go.\tVa !\nHi.\tSalut.\nRun!\tCours\u202f!".encode()))
    for pairs in (read_pairs(english, french), read_pairs(table)):
        assert pairs.source == ["Go.", "Hi.", "Run!"]
        assert pairs.target == ["Va !", "Salut.", "Cours\u202f!"]
        assert pairs.skipped == {}
        assert len(pairs) == 3


def test_the_columns_of_a_table_can_be_named(tmp_path):
    table = write(tmp_path, "a.tsv", "7\tVa !\tGo.\tCC-BY\n8\tSalut.\tHi.\tCC-BY\n")
    pairs = read_pairs(table, columns=(2, 1))
    assert (pairs.source, pairs.target) == (["Go.", "Hi."], ["Va !", "Salut."])


def test_lines_end_at_the_line_feed_only():
    text = 'a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg\rh "i\nnext'
    assert parse_lines(text.encode(), origin="here").text == text.split("\n")


def test_one_carriage_return_before_the_line_feed_is_dropped():
    assert parse_lines(b"one\r\ntwo\r\r\nthree\r", origin="here").text == ["one", "two\r", "three"]


def test_a_byte_order_mark_is_dropped_at_the_start_and_kept_elsewhere():
    assert parse_lines("\ufeffone\n\ufefftwo\n".encode(), origin="here").text == ["one", "\ufefftwo"]


def test_spaces_at_the_ends_of_a_line_are_kept():
    assert parse_lines(b"  one \n", origin="here").text == ["  one "]


line = st.text(st.characters(exclude_characters="\n\r\t\ufeff\0", exclude_categories=["Cs"]), min_size=1).filter(
    str.strip
)


@given(pairs=st.lists(st.tuples(line, line), min_size=1), ending=st.sampled_from(["\n", "\r\n"]))
def test_any_text_comes_back_as_it_was_written(tmp_path_factory, pairs, ending):
    folder = tmp_path_factory.mktemp("pairs")
    path = write(folder, "a.tsv", "".join(f"{source}\t{target}{ending}" for source, target in pairs))
    read = read_pairs(path)
    assert list(zip(read.source, read.target, strict=True)) == pairs


def test_a_pair_with_a_bad_side_is_left_out_on_both_sides_and_counted(tmp_path):
    english = write(tmp_path, "a.en", b"one\n\ntw\xffo\nthree\n \xc2\xa0\nfour\n" + b"x" * 100_000 + b"\nfive\n")
    french = write(tmp_path, "a.fr", b"un\ndeux\ndeux\n\t\nrien\nquatre\nlong\ncin\xe9\n")
    pairs = read_pairs(english, french)
    assert (pairs.source, pairs.target) == (["one", "four"], ["un", "quatre"])
    assert pairs.skipped == {"empty line": 3, "invalid UTF-8": 2, "over-long line": 1}


def test_a_row_with_too_few_columns_is_left_out_and_counted(tmp_path):
    table = write(tmp_path, "a.tsv", "one\tun\ntwo\n\n\tdeux\nthree\ttrois\tCC-BY\n")
    pairs = read_pairs(table)
    assert pairs.source == ["one", "three"]
    assert pairs.skipped == {"too few columns": 1, "empty line": 2}


def test_the_longest_line_allowed_can_be_set(tmp_path):
    table = write(tmp_path, "a.tsv", "12345\tun\n123456\tdeux\n")
    assert read_pairs(table, max_chars=5).source == ["12345"]
    assert read_pairs(table, max_chars=6).source == ["12345", "123456"]


def test_sentences_to_translate_keep_their_places(tmp_path):
    path = write(tmp_path, "a.en", b"one\n\nt\xffwo\n" + b"x" * 100_000 + b"\nthree")
    lines = read_lines(path)
    assert lines.text == ["one", "", "", "", "three"]
    assert lines.skipped == {"empty line": 1, "invalid UTF-8": 1, "over-long line": 1}
    assert lines.origin == str(path)


def test_an_empty_input_has_no_lines():
    assert parse_lines(b"", origin="standard input").text == []
    assert parse_lines(b"\n", origin="standard input").text == [""]


def test_unequal_numbers_of_lines_are_refused(tmp_path):
    english, french = write(tmp_path, "a.en", "one\ntwo\nthree\n"), write(tmp_path, "a.fr", "un\ndeux\n")
    with pytest.raises(_errors.DataError, match=r"a\.en has 3 lines but .*a\.fr has 2; .*re-export the two files"):
        read_pairs(english, french)


def test_a_missing_file_is_named(tmp_path):
    english = write(tmp_path, "a.en", "one\n")
    with pytest.raises(_errors.DataError, match=r"There is no file .*a\.fr; check the path\."):
        read_pairs(english, tmp_path / "a.fr")
    with pytest.raises(_errors.DataError, match="There is no file"):
        read_lines(tmp_path / "b.en")


def test_a_folder_instead_of_a_file_of_lines_is_refused(tmp_path):
    with pytest.raises(_errors.DataError, match="is a folder, not a file; name the file inside it"):
        read_lines(tmp_path)


def test_a_path_through_a_file_cannot_be_read(tmp_path):
    path = write(tmp_path, "a.en", "one\n")
    with pytest.raises(_errors.DataError, match=r"a\.en.b cannot be read: Not a directory"):
        read_lines(path / "b")


@pytest.mark.parametrize("packer", ["gz", "xz"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_cut_off_compressed_file_is_refused(tmp_path, packer, kept):
    packed = PACKERS[packer](b"".join(b"sentence %d\tphrase %d\n" % (i * i, i * 7) for i in range(500)))
    path = write(tmp_path, "a", packed[: int(len(packed) * kept)])
    with pytest.raises(_errors.DataError, match=r"a is a damaged or cut-off compressed file \(.+\); fetch or pack"):
        read_pairs(path)


@pytest.mark.parametrize("packer", ["gz", "xz"])
def test_a_damaged_compressed_file_is_refused(tmp_path, packer):
    packed = bytearray(PACKERS[packer](b"".join(b"sentence %d\tphrase %d\n" % (i * i, i * 7) for i in range(500))))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(_errors.DataError, match="is a damaged or cut-off compressed file"):
        read_pairs(write(tmp_path, "a", bytes(packed)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty; fill it"),
        (b"\n\n\n", r"every line was left out, empty line \(3\)"),
        (b"one\ntwo\n", r"every line was left out, too few columns \(2\); give UTF-8 text"),
        ("été\thiver\n".encode("latin-1"), r"every line was left out, invalid UTF-8 \(1\)"),
        (b"one\0\tun\n", r"every line was left out, NUL character \(1\)"),
    ],
)
def test_a_file_without_a_pair_says_why(tmp_path, data, reason):
    with pytest.raises(_errors.DataError, match=rf"a\.tsv gives no pair to use: {reason}"):
        read_pairs(write(tmp_path, "a.tsv", data))


@pytest.mark.parametrize("columns", [(0, -1), (-1, 1)])
def test_columns_count_from_zero(tmp_path, columns):
    with pytest.raises(ValueError, match="two numbers counted from 0"):
        read_pairs(write(tmp_path, "a.tsv", "one\tun\n"), columns=columns)
