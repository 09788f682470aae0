"""The word ids of keras.datasets.imdb, rebuilt."""

import lzma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful._errors import DataError
from heedful.data.imdb import RankedWords, pad_after, pad_before, read_reviews, words_of


def test_words_are_ranked_by_frequency_and_then_by_first_place():
    words = RankedWords(["b a b c", "d B a"], num_words=7)
    # b 3, a 2, and c before d
    assert words.names == ["<pad>", "<start>", "<unknown>", "<unused>", "b", "a", "c"]
    assert words.ids("A d b!c zebra") == [1, 5, 2, 4, 6, 2]


@given(st.text(), st.integers(5, 9))
def test_ids_stay_below_num_words_and_name_their_words(text, num_words):
    words = RankedWords(["the cat sat on the mat", text], num_words)
    ids = words.ids(text)
    assert all(0 < number < num_words for number in ids)
    known = [(number, word) for number, word in zip(ids[1:], words_of(text), strict=True) if number > 3]
    assert [words.names[number] for number, _ in known] == [word for _, word in known]


def test_words_are_what_keras_leaves():
    assert words_of('A "B"-c_d\te\n<br />') == ["a", "b", "c", "d", "e", "br"]
    assert words_of("f'g...h\u00a0i\u0085j") == ["f'g", "h\u00a0i\u0085j"]


@given(st.lists(st.lists(st.integers(1, 9), max_size=7), max_size=4), st.integers(1, 5))
def test_padding_before_keeps_the_end_and_after_the_beginning(sentences, length):
    before, after = pad_before(sentences, length), pad_after(sentences, length)
    for padded, kept in ((before, slice(-length, None)), (after, slice(length))):
        assert padded.shape == (len(sentences), length)
        for row, sentence in zip(padded, sentences, strict=True):
            assert row[row > 0].tolist() == sentence[kept]
    assert all((np.diff((row > 0).astype(int)) >= 0).all() for row in before)
    assert all((np.diff((row > 0).astype(int)) <= 0).all() for row in after)


def test_a_packed_file_is_read_and_lines_end_at_line_ends_alone(tmp_path):
    path = tmp_path / "train.tsv.xz"
    path.write_bytes(lzma.compress("1\tgood \u0085 film\n0\tbad\tworse\n".encode()))
    reviews = read_reviews(path)
    assert reviews.texts == ["good \u0085 film", "bad\tworse"]
    assert reviews.labels.tolist() == [1, 0]


@pytest.mark.parametrize("line", ["2\ttext", "1 text", "text", "\ttext"])
def test_a_line_without_label_is_refused_by_its_number(tmp_path, line):
    path = tmp_path / "train.tsv"
    path.write_text(f"1\tgood\n{line}\n")
    with pytest.raises(DataError, match=r"train\.tsv, line 2 does not begin with 0 or 1 and a tab; give one"):
        read_reviews(path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "train.tsv").touch()
    with pytest.raises(DataError, match=r"holds no review; give one per line, its label first\."):
        read_reviews(tmp_path / "train.tsv")


def test_the_reviews_are_those_of_the_published_set(data_folder):
    reviews = read_reviews(data_folder / "imdb" / "test.tsv.xz")
    assert (len(reviews.texts), reviews.labels.sum()) == (25_000, 12_500)
    words = RankedWords(reviews.texts, num_words=12)
    # the first words of Keras' own list, line breaks of HTML among them
    assert words.names[4:] == ["the", "and", "a", "of", "to", "is", "br", "in"]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "train.tsv"
    path.write_bytes(content)
    try:
        reviews = read_reviews(path)
    except DataError as error:
        message = str(error)
    else:
        message = f"{len(reviews.texts)} reviews"
        assert len(reviews.texts) == len(reviews.labels) > 0
    assert message.isprintable()
