"""The scripts of the web page in Node: its tokenizer cuts as ours, its search finds what ours finds."""

import json
import random
import shutil
import subprocess
from importlib.resources import files
from types import SimpleNamespace

import pytest
import tokenizers as hf
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers

from heedful.data.tokenizers import KINDS, Tokenizer
from heedful.decoding import Constraints, Decoding, Penalties, beam_search
from heedful.export.folder import reader
from heedful.models import StepOutput
from tests.tolerances import assert_close

TEXTS = [
    *("", " ", "Hello, world!", "I don't know l'été, it's LATE!", "a\nb\r\nc\u2028d\u0085e", "1,000.5 ½ ²", "a" * 300),
    *("e\u0301te\u0301 ẛ̣ ﬁ Ａ", "\u00a0\u2009a\ufeffb\u200bc", "👩‍👩‍👧 🇫🇷 x", "ſ'ſ don'ſ TOM'S he'LL", "ΑΣ ΣΑΣ ς İI"),
    *("▁▁a▁ b", "<s> </s> <unk>", "مرحبا بالعالم", "漢字かな ｶﾞ", "= = x a=b,c=d, e=f ,g=h", "हिन्दी ก็", "\x00\x01"),
    *("__proto__ constructor", "^$.*+?()[]{}|\\/-"),
]
LETTERS = "ab cdeE'’ s,.=▁<>\u0301\u0308\u00a0\t\n\u200d👩é̂ßſΣİ한글ｶﾞ½\u0085\ufeff漢"


def in_node(script: str, asked: object, folder) -> list:
    """What a script prints as JSON; the page's modules lie beside it, and `asked` is what it is given."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node is installed")
    for name in ("tokenizer.js", "search.js"):
        (folder / name).write_text(files("heedful.export").joinpath("web", name).read_text(encoding="utf-8"))
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "asked.json").write_text(json.dumps(asked))
    read = 'import fs from "fs"; const asked = JSON.parse(fs.readFileSync("asked.json"));'
    (folder / "run.js").write_text(f"{read}\n{script}")
    done = subprocess.run([node, "run.js"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TOKENIZERS = """
import { Tokenizer } from "./tokenizer.js";
console.log(JSON.stringify(asked.map(({ about, texts, ids }) => {
  const tokenizer = new Tokenizer(about);
  return {
    ids: texts.map((text) => tokenizer.encode(text)),
    decoded: ids.map((one) => tokenizer.decode(one)),
    shown: ids.map((one) => one.map((id) => tokenizer.show(id))),
  };
})));
"""


def test_its_tokenizer_cuts_and_joins_as_ours(tmp_path):
    draw = random.Random(3)
    texts = TEXTS + ["".join(draw.choices(LETTERS, k=draw.randrange(25))) for _ in range(150)]
    asked, expected = [], []
    for kind in KINDS:
        for lowercase, unicode in ((False, None), (True, "nfkc"), (False, "nfc")):
            tokenizer = Tokenizer.train(TEXTS, kind, vocab_size=400, lowercase=lowercase, unicode=unicode)
            ids = [tokenizer.encode(text) for text in texts]
            asked.append({"about": json.loads(reader(tokenizer).to_str()), "texts": texts, "ids": ids})
            shown = [tokenizer.tokens(one) for one in ids]
            expected.append({"ids": ids, "decoded": [tokenizer.decode(one) for one in ids], "shown": shown})
    for found, ours in zip(in_node(TOKENIZERS, asked, tmp_path), expected, strict=True):
        for what in ours:
            for text, one, other in zip(texts, found[what], ours[what], strict=True):
                assert one == other, (what, text)


PARTS = """
import { Tokenizer } from "./tokenizer.js";
console.log(JSON.stringify(asked.map((about) => {
  try {
    return new Tokenizer(about).decode([0, 1]);
  } catch (error) {
    return error.message;
  }
})));
"""


def test_its_tokenizer_strips_both_ends_and_names_what_it_does_not_know(tmp_path):
    core = hf.Tokenizer(models.WordLevel({"xxaxbxx": 0, "xcx": 1}, "xcx"))
    core.normalizer, core.pre_tokenizer = normalizers.NFC(), pre_tokenizers.ByteLevel()
    asked, expected = [], []
    for start, stop in ((0, 0), (1, 0), (0, 1), (3, 1), (1, 3)):
        core.decoder = decoders.Strip("x", start, stop)
        asked.append(json.loads(core.to_str()))
        expected.append(core.decode([0, 1]))
    core.add_tokens(["<new>"])
    asked.append(json.loads(core.to_str()))
    assert in_node(PARTS, asked, tmp_path) == [*expected, "the tokenizer has added tokens, not known here"]


SEARCHES = """
import { search } from "./search.js";
const found = [];
for (const { table, options } of asked) {
  const looks = (tokens) => tokens.map((token) => [token]);
  const step = async (tokens) => ({ logits: tokens.map((token) => table[token]), looks: looks(tokens), state: null });
  let last;
  for await (last of search(step, null, options));
  found.push(last);
}
console.log(JSON.stringify(found));
"""


def test_its_search_finds_what_ours_finds(tmp_path):
    asked, expected = [], []
    ids = {"pad": 0, "bos": 2, "eos": 3}
    for number in range(60):
        table, beam, limit, penalty = torch.randn(9, 9).double(), 1 + number % 5, 2 + number % 7, 0.4 * (number % 4)
        model = SimpleNamespace(
            encode=lambda source, lengths: source,
            start=lambda encoded: None,
            step=lambda tokens, state, encoded, need_weights, table=table: (StepOutput(table[tokens]), state),
        )
        how = Decoding(beam=beam, penalties=Penalties(length=penalty), constraints=Constraints(max_length=limit))
        expected.append(beam_search(model, torch.tensor([[4]]), torch.tensor([1]), how)[0][0])
        options = {"ids": ids, "limit": limit, "beam": beam, "lengthPenalty": penalty}
        asked.append({"table": table.tolist(), "options": options})
    assert {one.finished for one in expected} == {True, False}
    for found, ours in zip(in_node(SEARCHES, asked, tmp_path), expected, strict=True):
        assert (found["tokens"], found["finished"]) == (ours.tokens, ours.finished)
        assert_close(torch.tensor(found["score"]).double(), torch.tensor(ours.score).double())
        # what a token looked at is that of the row which said it: here, the token before
        assert found["looks"] == [[token] for token in [2, *ours.tokens][: len(ours.tokens)]]
