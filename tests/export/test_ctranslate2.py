"""A Transformer in CTranslate2 says what it says here; what is not written for that engine is named."""

import json
from contextlib import ExitStack

import pytest

from heedful._errors import ExportError, OutputError
from heedful.data.tokenizers import KINDS, Tokenizer
from heedful.export import export_ctranslate2
from heedful.export.ctranslate2 import entries, refuse_unrepresentable
from heedful.export.folder import export_folder, reader
from tests.export.small import LIMITS, greedy_tokens, sentences, small_model, tokenizer_pair

ROWS = {
    "as built": {},
    "the paper's": {"norm_first": False},
    "learned": {"positions": "learned", "max_positions": 40, "activation": "gelu", "norm": "rms"},
    "gated": {"positions": "none", "activation": "swiglu"},
}


@pytest.mark.parametrize("name", ROWS)
def test_it_says_the_same(name, tmp_path):
    runtime = pytest.importorskip("ctranslate2")
    pair = tokenizer_pair()
    model = small_model(pair, transformer=ROWS[name], tie_embeddings=name == "gated")
    sources = sentences(pair)
    expected, _ = greedy_tokens(model, sources)
    assert len({tuple(said) for said in expected}) > 30
    folder = export_ctranslate2(model, pair, tmp_path / "export", LIMITS)
    translator = runtime.Translator(str(folder), inter_threads=1, intra_threads=1)
    source_entries = entries(pair.source)
    for source, ours in zip(sources, expected, strict=True):
        (found,) = translator.translate_batch(
            [[source_entries[one] for one in source]],
            beam_size=1,
            max_decoding_length=LIMITS.max_lengths([len(source)])[0],
            suppress_sequences=[["<pad>"], ["<s>"]],
        )
        assert [pair.target.token_to_id(token) for token in found.hypotheses[0]] == ours
    assert json.loads((folder / "heedful.json").read_text())["runtime"] == "ctranslate2"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "RecurrentEncoder and LookThenUpdateDecoder"),
        ({"transformer": {"positions": "rotary"}}, "what rotates or normalises queries and keys"),
        ({"transformer": {"positions": "alibi"}}, "AlibiBias"),
        ({"transformer": {"positions": "t5"}}, "BucketedRelativeBias"),
        ({"transformer": {"kv_heads": 1}}, "1 heads of keys for 2 of queries"),
        ({"transformer": {"normalizer": "entmax15"}}, "Entmax15Normalizer"),
        ({"transformer": {"cross": {"score": "additive"}}}, "AdditiveScore"),
    ],
)
def test_what_is_not_written_is_named(options, named):
    with pytest.raises(ExportError, match=f"{named}.* is not written for CTranslate2; export to onnx or torch instead"):
        refuse_unrepresentable(small_model(tokenizer_pair(), **options))


def test_a_folder_of_somebody_is_not_replaced(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "home.txt").write_text("dear")
    pytest.importorskip("ctranslate2")
    pair = tokenizer_pair()
    with pytest.raises(OutputError, match=r"home\.txt is there already"):
        export_ctranslate2(small_model(pair, transformer={}), pair, tmp_path / "letters")
    assert [one.name for one in tmp_path.iterdir()] == ["letters"]


def test_an_export_is_replaced_but_not_what_somebody_put_beside_it(tmp_path):
    pair = tokenizer_pair()
    for _ in range(2):
        with export_folder(tmp_path / "out", pair):
            pass
    (tmp_path / "out" / "notes.txt").write_text("dear")
    with ExitStack() as stack, pytest.raises(OutputError, match=r"notes\.txt is there already"):
        stack.enter_context(export_folder(tmp_path / "out", pair))
    assert (tmp_path / "out" / "notes.txt").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_written_tokenizer_puts_ids_together_as_ours_does(kind):
    text = "go home, num=PL,tense=past"
    tokenizer = Tokenizer.train([text], kind, vocab_size=400)
    written = reader(tokenizer)
    ids = tokenizer.encode(text)
    assert written.encode(text).ids == ids
    assert written.decode(ids) == tokenizer.decode(ids)
