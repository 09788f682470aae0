"""Summaries that copy: names that no vocabulary holds come back as themselves, from a recipe to text and pages."""

import json
import random

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from heedful._errors import DataError, ExportError, RecipeError
from heedful.cli.main import app
from heedful.data.readers import Pairs
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.data.vocabulary import BOS, UNK
from heedful.export import export_web
from heedful.metrics.faithfulness import faithfulness
from heedful.models.encoders import EncoderOutput
from heedful.tasks.batches import Limits, encode
from heedful.tasks.build import build_model
from heedful.tasks.copying import copied_words, matched, numbered, shortened, written
from heedful.tasks.ensembles import join
from heedful.tasks.faithfulness import _steps, translator_faithfulness
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.scoring import perplexity
from heedful.tasks.translation import train_translator
from heedful.tasks.translator import Translator

HEAD, TAIL = ["please call", "I met", "we saw", "ask"], ["today", "about the bill", "in the hall now", "again"]
# words that no text holds
SHORT = {"please call": "phone", "I met": "meeting", "we saw": "sighting", "ask": "query"}


def names(count: int, seed: int) -> list[str]:
    """Words in mixed case that nobody has seen, none twice."""
    draw, found = random.Random(seed), {}
    while len(found) < count:
        found["".join(draw.choices("bdfgklmnprst", k=3) + draw.choices("aeiou", k=2)).title() + f"x{seed}"] = None
    return list(found)


def write(path, count: int, seed: int) -> None:
    """Texts and summaries as JSON lines; some hold a text of no use."""
    draw = random.Random(seed)
    rows = [{"text": "", "summary": "nothing"}, {"text": "no summary", "summary": " "}, {"text": "no key"}]
    for one, other in zip(names(count, seed), names(count, seed + 50), strict=True):
        head = draw.choice(HEAD)
        rows.append({"text": f"{head} {one} {draw.choice(TAIL)} , {other} said", "summary": f"{SHORT[head]} {one}"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("summaries")
    changes = []
    for seed, (name, count) in enumerate((("train", 240), ("valid", 24), ("test", 24)), start=1):
        write(folder / f"{name}.jsonl", count, seed)
        changes.append(f"data.{name}={{jsonl: {folder}/{name}.jsonl, columns: [text, summary]}}")
    sizes = ["embedding_dim=16", "encoder_units=16", "decoder_units=24", "attention_units=16", "dropout=0.0"]
    changes += [f"model.{size}" for size in sizes]
    steps = ["max_steps=120", "validate_every=120", "warmup_steps=5", "learning_rate=0.02", "tokens_per_batch=80"]
    steps += ["tensorboard=false", "device=cpu", "precision='32'", "best_by=exact_match"]
    changes += [f"training.{step}" for step in steps]
    more = ["tokenizer.vocab_size=25", "data.cut_source=12", "evaluation.metrics=[exact_match]", f"output={folder}/run"]
    said: list[str] = []
    return folder, train_translator(load_recipe("summarise", [*changes, *more]), say=said.append), said


def test_held_out_names_come_back_as_themselves(trained):
    folder, run, said = trained
    assert "left out 2 (empty line); left out 1 (key missing)" in " ".join(said)
    summariser = Translator.load(run.model)
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()[3:]]
    found = [best[0] for best in summariser.translate([row["text"] for row in rows])]
    vocabulary = summariser.tokenizers.target
    assert all(vocabulary.encode(row["summary"])[-1] == UNK for row in rows)
    # as they are written, though the vocabulary is lower-cased
    assert np.mean([one.text == row["summary"] for one, row in zip(found, rows, strict=True)]) >= 0.95
    # greedy and drawn ones, too
    quick = summariser.recipe.decoding.model_copy(update={"beam": 1})
    drawn = quick.model_copy(update={"sample": True, "temperature": 0.1})
    for how in (quick, drawn):
        told = [best[0].text.split()[-1] for best in summariser.translate([rows[0]["text"]] * 3, decoding=how)]
        assert told == [rows[0]["summary"].split()[1]] * 3
    assert run.scores["test"][0].value >= 95
    pairs = Pairs([row["text"] for row in rows], [row["summary"] for row in rows], {}, "here")
    # of a name that no vocabulary holds, no more than a few ways are as likely
    assert 1 <= perplexity(summariser, pairs).value < 1.5


def test_what_was_copied_is_explained_in_every_form(trained, tmp_path):
    _, run, _ = trained
    summariser, text = run.translator, "ask Zorblax about the bill , Quibble said"
    found = summariser.explain(text)
    assert found.text == "query Zorblax"
    said, copied = found.copied
    assert copied > 0.9 > 0.5 > said
    assert found.generate[0] > 0.5 > found.generate[1]
    assert found.target.words == ["query", "Zorblax"]
    assert found.word_weights[1].argmax() == 1
    shell = CliRunner()
    terminal = shell.invoke(app, ["explain", str(run.folder), text])
    assert terminal.exit_code == 0, terminal.output
    assert "copied from the source: Zorblax" in terminal.stdout
    for ending in ("html", "json", "png"):
        told = shell.invoke(app, ["explain", str(run.folder), text, "--output", str(tmp_path / f"one.{ending}")])
        assert told.exit_code == 0, told.output
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert page.count('class="word copied"') == 1
    one = json.loads((tmp_path / "one.json").read_text())["sentences"][0]
    assert one["copied"] == pytest.approx(list(found.copied), abs=1e-5)
    assert one["generate"] == pytest.approx(list(found.generate), abs=1e-5)
    aligned = summariser.align(text, "query Zorblax")
    np.testing.assert_allclose(aligned.weights, found.word_weights, atol=1e-5)


def chances(model, source, target, step, rows):
    """By hand, of the token at a step: pieces outside of each row of places are gone, not hidden; and what was said."""
    ids, lengths = torch.tensor([source]), torch.tensor([len(source)])
    read, encoded = model.encoder(model.copying.known(ids), lengths), model.encode(ids, lengths)
    state, fed = model.start(encoded), [BOS, *target]
    for token in fed[:step]:
        _, state = model.step(torch.tensor([token]), state, encoded)
    embedded, pointer, found = (
        model.embedding(model.copying.known(torch.tensor([[fed[step]]]))),
        model.copying.pointer,
        [],
    )
    for places in rows:
        # with nothing to look at the context is zero: a row of zeros gives that, too, and no piece is copied from it
        left = read.outputs[:, places] if places else torch.zeros_like(read.outputs[:, :1])
        seen = torch.ones(1, 1, left.shape[1], dtype=torch.bool)
        memory = model.decoder.remember(EncoderOutput(left, read.summary), seen)
        said = model.decoder(embedded, state, memory, need_weights=True)
        parts = (said.context, pointer.context_proj), (said.hidden, pointer.state_proj), (embedded, pointer.input_proj)
        generate = torch.sigmoid(sum(one @ by for one, by in parts) + pointer.bias)[0, 0] if places else 1
        vocabulary = torch.softmax(model.output(said.features)[0, 0], 0)
        own = vocabulary[target[step]] if target[step] < len(vocabulary) else 0
        copied = sum(said.weights[0, 0, row] for row, place in enumerate(places) if source[place] == target[step])
        found.append(float(generate * own + (1 - generate) * copied))
    return np.array(found)


@torch.no_grad()
def test_faithfulness_of_a_word_is_what_its_mixture_loses_with_pieces_that_are_gone(trained):
    summariser = trained[1].translator
    size = summariser.tokenizers.target.vocab_size
    options = {"embedding_dim": 5, "units": 6, "dropout": 0.0, "share_embeddings": True}
    model = build_model(ModelOptions(attention="bahdanau", copies=True, **options), size, size).eval()
    other = Translator(model, summariser.tokenizers, summariser.recipe)
    # one name stands there twice: it can be copied from either place
    pair = other.segment_pair("ask Zorblax or ask Zorblax", "query Zorblax")
    source, target = (one.ids for one in pair)
    assert target[-1] >= size
    wanted = []
    for step in range(len(target)):
        looked = model.align(torch.tensor([source]), torch.tensor([5]), torch.tensor([[BOS, *target[:-1]]]))
        assert looked is not None
        weights = looked[0, step]
        measured = faithfulness(
            lambda rows, step=step: chances(model, source, target, step, rows)[:, None],
            range(5),
            weights.numpy(),
            draws=1,
        )
        wanted.append([*vars(measured.comprehensiveness).values(), *vars(measured.sufficiency).values()])
    found = translator_faithfulness(other, [(source, target)], draws=1)
    assert [*found] == ["attention", "gradient x attention", "leave one out"]
    assert [*found["attention"].numbers().values()][:6] == pytest.approx(np.mean(wanted, 0), abs=1e-6)


def test_the_gradient_of_a_mixture_is_that_by_what_is_looked_at_and_copied(trained):
    summariser = trained[1].translator
    size = summariser.tokenizers.target.vocab_size
    options = {"embedding_dim": 5, "units": 6, "dropout": 0.0, "share_embeddings": True, "wiring": "luong"}
    model = build_model(ModelOptions(attention="luong", copies=True, **options), size, size).eval()
    source, target = [4, 5, size, 6, size], [size]
    (step,) = _steps(model, source, target)
    ids, lengths, fed = torch.tensor([source]), torch.tensor([5]), torch.tensor([[BOS]])
    encoded = model.encode(ids, lengths)
    said = model.decoder(model.embedding(fed), model.start(encoded), encoded, need_weights=True)
    weights, pointer = said.weights.detach().requires_grad_(), model.copying.pointer
    context = weights @ model.encoder(model.copying.known(ids), lengths).outputs
    # that it cannot be said is left: what is copied, by the gate that the context moves
    parts = (
        (context, pointer.context_proj),
        (said.hidden, pointer.state_proj),
        (model.embedding(fed), pointer.input_proj),
    )
    generate = torch.sigmoid(sum(one @ by for one, by in parts) + pointer.bias)[0, 0]
    torch.log((1 - generate) * weights[0, 0, [2, 4]].sum()).backward()
    wanted = (weights * weights.grad)[0, 0].detach().numpy()
    assert step.scores()["gradient x attention"] == pytest.approx(wanted, abs=1e-6)
    assert np.abs(wanted).min() > 1e-6


def test_faithfulness_of_a_copied_name_is_shown_and_hangs_on_its_place(trained):
    _, run, _ = trained
    text = "ask Zorblax about the bill , Quibble said"
    found = run.translator.explain(text)
    measured = translator_faithfulness(run.translator, [(found.source.ids, found.target.ids)])["attention"]
    assert measured.comprehensiveness.given > 0.5 > measured.comprehensiveness.reversed
    assert measured.sufficiency.given < 0.1 < measured.sufficiency.shuffled
    told = CliRunner().invoke(app, ["explain", str(run.folder), text, "--faithfulness"])
    assert told.exit_code == 0, told.output
    assert f"attention {measured.comprehensiveness.given:.3f}" in " ".join(told.stdout.split())


def test_long_texts_are_cut_and_counted_and_empty_ones_have_empty_summaries(trained, tmp_path):
    _, run, _ = trained
    summariser = run.translator
    long = "ask Zorblax again" + " , now" * 30
    assert summariser.num_longer([long, "ask Zorblax again"]) == 1
    assert len(summariser.explain(long).source.words) == 12
    explained = CliRunner().invoke(app, ["explain", str(run.folder), long])
    assert "Of 1 texts only the first 12 tokens were read" in explained.stderr
    assert [best[0].text for best in summariser.translate(["", "   "])] == ["", ""]
    with pytest.raises(DataError, match="The sentence is empty"):
        summariser.explain(" ")
    texts = tmp_path / "texts.txt"
    texts.write_text(f"{long}\n\nask Zorblax again\n", encoding="utf-8")
    told = CliRunner().invoke(app, ["translate", str(run.folder), str(texts)])
    assert told.exit_code == 0
    assert told.stdout.splitlines()[1:] == ["", "query Zorblax"]
    assert "Of 1 texts only the first 12 tokens were read" in told.stderr
    assert "Left empty what cannot be translated: 1 (1 empty line)" in told.stderr
    said: list[str] = []
    pairs = Pairs([long, "ask Bob"], ["ask", "ask"], {}, "here")
    corpus = encode(pairs, summariser.tokenizers, Limits(cut_source=12, copies=True), said.append)
    assert corpus.sources.lengths.tolist() == [12, 2]
    assert said == ["Of 1 texts of here only the first 12 tokens are read."]


def test_ids_of_unknown_words_go_there_and_back():
    tokenizer = Tokenizer.from_entries(["a", "met"], lowercase=True)
    source = numbered(tokenizer.segment("Ann met ann , Bob met BOB's a"), tokenizer)
    assert source.ids == [6, 5, 6, 7, 8, 5, 9, 4]
    target = matched(tokenizer.segment("bob met Cid , ANN"), source, tokenizer)
    assert target.ids == [8, 5, UNK, 7, 6]
    text, said = written(target.ids, copied_words(source, tokenizer), tokenizer, ["who"])
    assert text == "Bob met who , Ann"
    assert said.words == ["Bob", "met", "<unk>", ",", "Ann"]
    assert said.ids == target.ids
    cut = shortened(source, 3)
    assert matched(tokenizer.segment("bob ann"), cut, tokenizer).ids == [UNK, 6]
    plain = Tokenizer.train(["Ann met Bob"], kind="bpe", vocab_size=40)
    assert numbered(plain.segment("Ann Ω"), plain).ids == plain.encode("Ann Ω")


REFUSED = {
    "model={attention: talking_heads, copies: true}": "copies needs weights that are shares",
    "model={attention: none, copies: true}": "copies needs to know what was looked at",
    "model.decoder=transformer": "copies goes with a recurrent decoder",
    "tokenizer.joint=false": "model.share_embeddings needs one vocabulary",
    "training.label_smoothing=0.1": "training.label_smoothing is 0.1; a model that copies learns without",
    "task=language_model": "model.copies is of texts made from texts, but the task is language_model",
    "data.cut_source=0": "data.cut_source is 0",
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_does_not_go_with_copying_is_refused_before_anything_is_read(change):
    with pytest.raises(RecipeError, match=REFUSED[change]):
        load_recipe("summarise", [change])


def test_a_copying_model_has_one_vocabulary():
    with pytest.raises(RecipeError, match=r"model\.copies needs one vocabulary for source and target"):
        load_recipe("summarise", ["tokenizer.joint=false", "model.share_embeddings=false"])


def test_what_cannot_be_done_with_a_copying_model_says_why(trained, tmp_path):
    _, run, _ = trained
    summariser = run.translator
    with pytest.raises(ExportError, match=r"copies words of its source, which the page does not; export to onnx or"):
        export_web(summariser.model, summariser.tokenizers, tmp_path / "web")
    short = summariser.recipe.decoding.model_copy(update={"shortlist": 5})
    with pytest.raises(DataError, match=r"decoding\.shortlist is 5, but the model copies words"):
        summariser.translate(["ask"], decoding=short)
    other = summariser.recipe.model_copy(update={"model": summariser.recipe.model.model_copy(update={"copies": False})})
    with pytest.raises(DataError, match=r"differ in model\.copies"):
        join([summariser, Translator(summariser.model, summariser.tokenizers, other)])
    both = join([summariser, summariser]).translate(["ask Zorblax again"])[0][0]
    assert both.text == "query Zorblax"
    assert isinstance(summariser.tokenizers, TokenizerPair)
    half = summariser.recipe.decoding.model_copy(update={"precision": "bf16"})
    assert summariser.translate(["ask Zorblax again"], decoding=half)[0][0].text == "query Zorblax"
