"""The tokenisers of an export write text as ours do."""

import pytest

from heedful.data.tokenizers import KINDS, Tokenizer
from heedful.data.vocabulary import UNK
from heedful.export.folder import reader

LINES = ["go tense=past, num=PL", "the black cat, it's late! a=b", "= = x"]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_become_the_same_text(kind):
    tokenizer = Tokenizer.train(LINES, kind=kind, vocab_size=300)
    exported = reader(tokenizer)
    for line in LINES:
        ids = tokenizer.encode(line)
        assert exported.encode(line).ids == ids
        assert exported.decode(ids) == tokenizer.decode(ids)
    if kind != "byte_bpe":
        ids.insert(1, UNK)
        assert exported.decode(ids) == tokenizer.decode(ids)
