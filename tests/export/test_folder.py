"""The tokenisers of an export write text as ours do, and the manifest tells of both."""

import json

import pytest

from heedful.data.tokenizers import KINDS, Tokenizer, TokenizerPair
from heedful.data.vocabulary import UNK
from heedful.export.folder import export_folder, reader

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


def test_the_manifest_tells_the_kind_of_both_tokenizers(tmp_path):
    pair = TokenizerPair(Tokenizer.train(LINES, kind="letter"), Tokenizer.train(LINES, kind="symbol"), False)
    with export_folder(tmp_path / "out", pair):
        pass
    told = json.loads((tmp_path / "out" / "heedful.json").read_text(encoding="utf-8"))["tokenizers"]
    assert told == {
        "source": {"file": "source_tokenizer.json", "kind": "letter"},
        "target": {"file": "target_tokenizer.json", "kind": "symbol"},
    }
