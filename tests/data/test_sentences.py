"""Sentences of documents: where texts are cut, and what ids they become."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.ids import Ids
from heedful.data.sentences import join_sentences, split_sentences, with_ends
from heedful.data.vocabulary import EOS


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? four", ["One.", "Two!", "Three?", "four"]),
        ("He said (twice.) No.", ["He said (twice.)", "No."]),
        ("3.5 of a.b are not cut", ["3.5 of a.b are not cut"]),
        ("Subject: x  A body of\ttwo lines.", ["Subject: x", "A body of\ttwo lines."]),
        ("  ", []),
    ],
)
def test_where_a_text_is_cut(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(' .!?a")\n', max_size=30))
def test_no_letter_is_lost(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


@given(st.lists(st.lists(st.integers(0, 130), max_size=4), max_size=4))
def test_every_sentence_ends_and_none_is_longer_than_fifty(sizes):
    sentences = Ids.pack([np.full(size, 7) for document in sizes for size in document])
    documents = join_sentences(sentences, [len(document) for document in sizes])
    assert len(documents) == len(sizes)
    for document, own in zip(documents, sizes, strict=True):
        parts = np.split(document, np.flatnonzero(document == EOS) + 1)
        assert len(parts.pop()) == 0
        expected = [min(50, size - first) for size in own for first in range(0, size, 50)]
        assert [len(part) - 1 for part in parts] == expected


def test_another_end_may_be_wanted():
    assert with_ends(np.arange(51), end=-1).tolist() == [*range(50), -1, 50, -1]
