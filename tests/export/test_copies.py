"""A model that copies words of its source: exported, it says and writes what it says and writes here."""

import json
import unicodedata

import pytest
import torch

from heedful.data.batching import pad
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.export import export_onnx, export_torch, make_graphs
from heedful.tasks.copying import copied_words, numbered, shortened, written
from tests.export.small import LIMITS, example, greedy_tokens, program, say, small_model

pytestmark = pytest.mark.compile

CUT = 9
# alike in lower case, composed and not, one character that is three words, marks, signs and no-break spaces
WORDS = [
    "Ann",
    "ann",
    "ANN",
    "caf\u00e9",
    "cafe\u0301",
    "\u00bd",
    "l'homme",
    "don't",
    "O'Neill",
    "<e1>",
    "3.5",
    "x\u00a0y",
    "\ufb01n",
]


@pytest.fixture(scope="module")
def case():
    known = ["please", "call", "about", "the", "bill", ",", "said", "met", "'"]
    both = Tokenizer.from_entries(known, lowercase=True, unicode="nfkc")
    pair = TokenizerPair(both, both, joint=True)
    options = {"attention": "coverage", "wiring": "luong_input_feeding", "share_embeddings": True, "cell": "lstm"}
    model = small_model(pair, copies=True, **options)
    generator = torch.Generator().manual_seed(3)
    words = [*known, *WORDS, *WORDS]
    texts = []
    for length in torch.randint(1, 14, (200,), generator=generator).tolist():
        texts.append(" ".join(words[place] for place in torch.randint(len(words), (length,), generator=generator)))
    segments = [numbered(shortened(both.segment(text), CUT), both) for text in texts]
    expected, _ = greedy_tokens(model, [one.ids for one in segments])
    texts_said = [
        written(ids, copied_words(one, both), both, [])[0] for ids, one in zip(expected, segments, strict=True)
    ]
    copied = [ids for ids in expected if max(ids, default=0) >= both.vocab_size]
    assert len(copied) > 40
    assert len({tuple(ids) for ids in expected}) > 80
    return model, pair, texts, segments, expected, texts_said, make_graphs(model)


def test_onnxruntime_and_the_library_tokenizers_copy_the_same_words(case, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model, pair, texts, segments, expected, texts_said, graphs = case
    folder = export_onnx(model, pair, tmp_path / "onnx", LIMITS, graphs, {"cut_source": CUT})
    about = json.loads((folder / "heedful.json").read_text(encoding="utf-8"))
    size = pair.source.vocab_size
    assert about["copies"] == {"first": size}
    assert about["step"]["outputs"]["logits"] == {"type": "float32", "shape": ["batch", f"{size} + source"]}
    summariser = example("onnx_translate").Translator(folder)
    assert [summariser.read(text)[0] for text in texts] == [one.ids for one in segments]
    assert summariser.decode([one.ids for one in segments])[0] == expected
    composed = [unicodedata.normalize("NFC", text) for text in texts_said]
    assert summariser.translate(texts)[0] == composed


def test_torch_copies_the_same_words(case, tmp_path):
    model, pair, _, segments, expected, _, graphs = case
    folder = export_torch(model, pair, tmp_path / "torch", LIMITS, graphs)
    encoder, step = (program(folder, name) for name in ("encoder", "step"))
    found, _ = say(encoder, step, pad([one.ids for one in segments]), LIMITS.max_length)
    for one, said, ours in zip(segments, found, expected, strict=True):
        assert said[: LIMITS.max_lengths([len(one.ids)])[0]] == ours
