"""A translator: text to text, independent of the company a sentence keeps, and honest about what it looked at."""

import gzip
import lzma
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from heedful._errors import DataError, RecipeError
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.data.vocabulary import EOS, UNK
from heedful.decoding import minimum_bayes_risk
from heedful.models import StepOutput
from heedful.tasks.build import build_model
from heedful.tasks.decoding import make_constraints, make_decoding
from heedful.tasks.decoding_batches import by_equal_length, by_length
from heedful.tasks.decoding_options import DecodingOptions
from heedful.tasks.ensembles import join
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.pretrained import read_pretrained
from heedful.tasks.rebuild import unique_state
from heedful.tasks.recipe import check_recipe
from heedful.tasks.transformer_options import TransformerOptions
from heedful.tasks.translator import Translator
from tests.small import small_content

SENTENCES = ["I love you.", "", "Tom is not here today.", "No.", "   ", "Where do you live?", "Why?"]


@pytest.fixture
def translator(small_run):
    return small_run.translator


def fresh(folder, **model) -> Translator:
    """An untrained translator of another shape."""
    torch.manual_seed(5)
    joint = model.get("share_embeddings", False)
    content = small_content(folder)
    content["model"] = {"embedding_dim": 6, "units": 8, "dropout": 0.0, **model}
    content["tokenizer"] |= {"joint": joint}
    recipe = check_recipe(content, "here")
    tokenizers = TokenizerPair.train(
        ["I love you.", "Tom is here."], ["Je t'aime.", "Tom est là."], joint=joint, vocab_size=60
    )
    sizes = tokenizers.source.vocab_size, tokenizers.target.vocab_size
    return Translator(build_model(recipe.model, *sizes).eval(), tokenizers, recipe)


# --- translating ---


def test_each_sentence_is_translated_as_if_it_were_alone(translator):
    together = translator.translate(SENTENCES, nbest=2, need_weights=True)
    for sentence, found in zip(SENTENCES, together, strict=True):
        (alone,) = translator.translate([sentence], nbest=2, need_weights=True)
        assert [one.text for one in found] == [one.text for one in alone]
        for one, other in zip(found, alone, strict=True):
            assert one.hypothesis.score == pytest.approx(other.hypothesis.score, abs=1e-4)
            if one.text:
                np.testing.assert_allclose(one.word_weights, other.word_weights, atol=1e-5)


@pytest.mark.parametrize("beam", [1, 2])
def test_more_translations_than_the_beam_holds_are_refused(translator, beam):
    decoding = translator.recipe.decoding.model_copy(update={"beam": beam})
    with pytest.raises(ValueError, match=f"nbest is 3; a beam of {beam} can return 1 to {beam} hypotheses"):
        translator.translate(["No."], decoding=decoding, nbest=3)


def test_the_order_of_the_input_is_that_of_the_output(translator):
    many = [sentence for sentence in SENTENCES if sentence.strip()] * 30
    texts = [best[0].text for best in translator.translate(many)]
    assert texts == [best[0].text for best in translator.translate(many[::-1])][::-1]
    assert texts[:5] == texts[5:10]


def test_weights_are_rounded_once_for_each_precision_and_anew_when_they_change(tmp_path):
    translator = fresh(tmp_path)
    half, whole = translator.model_in("bf16"), translator.model_in("int8")
    assert [translator.model_in(precision) for precision in ("bf16", "int8")] == [half, whole]
    with torch.no_grad():
        next(translator.model.parameters()).mul_(2)
    assert translator.model_in("bf16") is not half
    assert len(translator._cheaper) == 1


def test_nothing_says_nothing(translator):
    assert translator.translate([]) == []
    for sentence in ("", "   ", "\t"):
        ((best,),) = translator.translate([sentence], need_weights=True)
        assert (best.text, best.hypothesis.tokens, best.word_weights) == ("", [], None)
        with pytest.raises(DataError, match="nothing to draw for '': the translation is empty"):
            _ = best.alignment


def test_nbest_comes_best_first_and_begins_with_the_best(translator):
    decoding = translator.recipe.decoding.model_copy(update={"beam": 4})
    found = translator.translate(["I love you."], decoding=decoding, nbest=4)[0]
    scores = [one.hypothesis.score for one in found]
    assert len(found) == 4
    assert scores == sorted(scores, reverse=True)
    assert found[0].text == translator.translate(["I love you."], decoding=decoding)[0][0].text


def test_the_recipe_decides_what_is_not_asked(translator):
    decoding = translator.recipe.decoding
    other = decoding.model_copy(update={"max_length": 7, "no_repeat_ngram": 3, "max_ratio": None})
    limits = make_constraints(other, translator.tokenizers.target)
    assert (limits.max_length, limits.no_repeat_ngram, limits.max_ratio, limits.min_length) == (7, 3, None, 4)
    found = translator.translate(["I love you."], decoding=decoding.model_copy(update={"max_length": 5}))[0][0]
    assert len(found.hypothesis.tokens) <= 5


@pytest.mark.parametrize("text", ["☃☃☃", "漢字 かな", "\u200b", "\x00", "🙂 🙂"])
def test_only_unknown_symbols_are_still_a_sentence(translator, text):
    best = translator.explain(text)
    assert UNK in best.source.ids
    assert best.text
    np.testing.assert_allclose(best.word_weights.sum(1), 1, atol=1e-5)


# --- what it looked at ---


def test_word_weights_are_distributions_over_the_words_as_they_were_typed(translator):
    best = translator.explain("Tom, WHERE are you?")
    assert best.source.words == ["Tom", ",", "WHERE", "are", "you", "?"]
    assert best.word_weights.shape == (len(best.target.words), 6)
    np.testing.assert_allclose(best.word_weights.sum(1), 1, atol=1e-5)
    assert best.alignment.source == best.source.words
    assert best.hypothesis.weights.shape == (len(best.hypothesis.tokens), len(best.source.ids))


@pytest.mark.parametrize("side", ["encoder", "decoder", "architecture"])
def test_each_transformer_side_shows_what_its_words_looked_at_among_themselves(translator, side):
    options = ModelOptions(
        **{side: "transformer"}, embedding_dim=8, units=6, transformer=TransformerOptions(heads=2, hidden_units=4)
    )
    sizes = translator.tokenizers.source.vocab_size, translator.tokenizers.target.vocab_size
    found = Translator(build_model(options, *sizes), translator.tokenizers, translator.recipe).explain("Tom is here.")
    captions = [one.caption for one in found.own]
    both = ["the source in itself (encoder)", "the words said before (decoder)"]
    assert captions == {"encoder": both[:1], "decoder": both[1:], "architecture": both}[side]
    for one in found.own:
        assert list(one.heads) == ["layer 1, mean", "layer 1, head 1", "layer 1, head 2"]
        np.testing.assert_allclose(one.weights.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose((one.heads["layer 1, head 1"] + one.heads["layer 1, head 2"]) / 2, one.weights)
    if side != "encoder":
        back = found.own[-1]
        assert (back.source[0], back.target) == ("<s>", found.target.words)
        # pieces of a word see the pieces of it before them
        assert not np.triu(back.weights[:, 1:], 1).any()
    assert bool(found.heads) == (side != "encoder")
    assert ("all, through the encoder (rollout)" in found.heads) == (side == "architecture")


def test_asking_for_weights_changes_no_translation(translator):
    plain, looked = (translator.translate(SENTENCES, need_weights=need) for need in (False, True))
    assert [best[0].hypothesis for best in plain] == [best[0].hypothesis for best in looked]


def test_an_empty_sentence_cannot_be_explained(translator):
    with pytest.raises(DataError, match="The sentence is empty; give at least one word"):
        translator.explain(" ")


def test_a_model_without_attention_has_nothing_to_show(tmp_path):
    plain = fresh(tmp_path, attention="none")
    best = plain.translate(["I love you."], need_weights=True)[0][0]
    assert best.word_weights is None
    for name in ("coverage_penalty", "overcoverage_penalty"):
        counting = plain.recipe.decoding.model_copy(update={name: 0.2})
        with pytest.raises(DataError, match=f"{name} is 0.2, but the model has no attention"):
            plain.search(counting)
    with pytest.raises(DataError, match="the model has no attention to show"):
        _ = best.alignment
    with pytest.raises(DataError, match="The model has no attention to show"):
        plain.align("I love you.", "Je t'aime.")


def test_aligning_what_it_says_shows_what_it_looked_at(translator):
    decoding = translator.recipe.decoding.model_copy(update={"beam": 1})
    best = translator.translate(["Where do you live?"], decoding=decoding, need_weights=True)[0][0]
    forced = translator.align("Where do you live?", best.text)
    if translator.tokenizers.target.encode(best.text) == best.hypothesis.tokens:
        np.testing.assert_allclose(forced.weights, best.word_weights, atol=1e-5)
    assert forced.source == best.source.words
    with pytest.raises(DataError, match="One side of the pair is empty"):
        translator.align("Where?", "")


# --- unknown words; the parrot is no Seq2Seq, so the type checker stands aside ---


class Parrot(nn.Module):
    """Says one token per source position, the unknown one where the source has it, and looks right there."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.vocabulary = vocabulary

    def encode(self, source, lengths):
        return {"source": source, "lengths": lengths}

    def start(self, encoded):
        return torch.zeros(len(encoded["lengths"]), dtype=torch.int64)

    def step(self, tokens, state, encoded, need_weights=False):
        place = state.clamp(max=encoded["source"].shape[1] - 1)
        said = torch.where(state < encoded["lengths"], encoded["source"].gather(1, place[:, None])[:, 0], EOS)
        logits = torch.full((len(said), self.vocabulary), -20.0).scatter(1, said[:, None], 20.0)
        weights = nn.functional.one_hot(place, encoded["source"].shape[1]).float() if need_weights else None
        return StepOutput(logits, weights), state + 1


@pytest.fixture
def parrot(tmp_path):
    words = Tokenizer.train(["the cat sat on a mat"], kind="word", vocab_size=30)
    content = small_content(tmp_path)
    content["decoding"] = {"beam": 2}
    recipe = check_recipe(content, "here")
    return Translator(Parrot(words.vocab_size), TokenizerPair(words, words, True), recipe)


@pytest.mark.messages
def test_an_unknown_word_is_replaced_by_the_one_it_looked_at(parrot):
    found = parrot.translate(["the Zebra sat on Ouagadougou", "the cat sat"])
    assert [best[0].text for best in found] == ["the Zebra sat on Ouagadougou", "the cat sat"]
    drawn = parrot.translate(["the Zebra sat"], decoding=DecodingOptions(sample=True))
    assert drawn[0][0].text == "the Zebra sat"


@pytest.mark.messages
def test_it_stays_unknown_where_the_recipe_says_so(parrot):
    decoding = parrot.recipe.decoding.model_copy(update={"replace_unknown": False})
    assert parrot.translate(["the Zebra sat"], decoding=decoding)[0][0].text == "the <unk> sat"


# --- every other method ---


def test_every_option_reaches_the_search(translator):
    options = DecodingOptions(
        beam=6, groups=3, diversity=0.7, length_penalty=0.1, coverage_penalty=0.2, repetition_penalty=1.3, min_length=2,
        max_length=9, max_ratio=1.5, max_extra=4, no_repeat_ngram=3, prefix="Je", banned=["Tom", "chat"],
    )  # fmt: skip
    target = translator.tokenizers.target
    how = make_decoding(options, target, nbest=2, need_weights=True)
    assert (how.beam, how.nbest, how.groups, how.diversity, how.need_weights) == (6, 2, 3, 0.7, True)
    assert (how.penalties.length, how.penalties.coverage, how.penalties.repetition) == (0.1, 0.2, 1.3)
    for name in ("min_length", "max_length", "max_ratio", "max_extra", "no_repeat_ngram"):
        assert getattr(how.constraints, name) == getattr(options, name)
    assert how.constraints.prefix == tuple(target.encode("Je"))
    assert how.constraints.banned == (tuple(target.encode("Tom")), tuple(target.encode("chat")))
    drawn = make_decoding(DecodingOptions(sample=True, temperature=0.4, top_k=9, top_p=0.8, min_p=0.1), target).sampling
    assert (drawn.temperature, drawn.top_k, drawn.top_p, drawn.min_p) == (0.4, 9, 0.8, 0.1)
    wanted = make_decoding(DecodingOptions(required=["le chat", "non"]), target).constraints
    assert wanted.required == (tuple(target.encode("le chat")), tuple(target.encode("non")))


def test_prefix_required_and_banned_words_are_of_text(translator):
    plain = translator.translate(["I love you."])[0][0].text
    word = plain.split()[0].strip(".,!?")
    decoding = DecodingOptions(beam=4, banned=[word], required=["le chat"], prefix="Tom ", max_length=40)
    best = translator.translate(["I love you."], decoding=decoding)[0][0]
    assert best.text.startswith("Tom")
    assert "le chat" in best.text
    assert word not in best.text.split()
    diverse = DecodingOptions(beam=4, groups=4, diversity=5.0)
    assert len({one.text for one in translator.translate(["I love you."], decoding=diverse, nbest=4)[0]}) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"required": ["le ☃"]}, "decoding.required holds 'le ☃', but '☃' cannot be written with the model's vocab"),
        ({"prefix": "☃"}, "decoding.prefix holds '☃'"),
        ({"required": [" "]}, "decoding.required holds ' ', which has no token"),
        ({"banned": ["Tom", ""]}, "decoding.banned holds '', which has no token"),
        ({"required": ["Tom"], "banned": ["Tom"]}, "required holds .* which is banned"),
        ({"required": ["Tom Tom Tom Tom"], "max_length": 3}, "what is required have .* tokens, but max_length is 3"),
    ],
)
def test_words_that_cannot_be_had_are_refused(translator, options, message):
    with pytest.raises((DataError, ValueError), match=message):
        translator.translate(["No."], decoding=DecodingOptions(**options))
    assert make_constraints(DecodingOptions(banned=["☃"]), translator.tokenizers.target).banned == ()


def test_an_ensemble_translates_and_other_vocabularies_are_refused(translator, tmp_path):
    assert join([translator]) is translator
    twice = join([translator, translator], "log_probabilities")
    for one, other in zip(translator.translate(SENTENCES), twice.translate(SENTENCES), strict=True):
        assert one[0].text == other[0].text
    options = ModelOptions(
        architecture="transformer", embedding_dim=8, transformer=TransformerOptions(heads=2, hidden_units=4)
    )
    sizes = translator.tokenizers.source.vocab_size, translator.tokenizers.target.vocab_size
    other = Translator(build_model(options, *sizes), translator.tokenizers, translator.recipe)
    mixed = join([translator, other])
    found = mixed.explain("Tom is here.")
    assert list(found.heads) == [
        "model 1, layer 1, mean",
        "model 1, layer 1, head 1",
        *(f"model 2, layer 1, {name}" for name in ("mean", "head 1", "head 2")),
    ]
    forced = mixed.align("Tom is here.", "Tom est.").weights
    alone = [one.align("Tom is here.", "Tom est.").weights for one in (translator, other)]
    np.testing.assert_allclose(forced, (alone[0] + alone[1]) / 2, atol=1e-5)
    with pytest.raises(DataError, match="Model 2 of the ensemble has other tokenizers than the first"):
        join([translator, fresh(tmp_path)])


@pytest.mark.parametrize("how", [{"beam": 3}, {"beam": 4, "groups": 2}, {"sample": True, "risk_draws": 3}])
def test_heads_come_with_the_words_of_every_method(translator, how):
    options = ModelOptions(
        architecture="transformer", embedding_dim=8, transformer=TransformerOptions(heads=2, hidden_units=4)
    )
    sizes = translator.tokenizers.source.vocab_size, translator.tokenizers.target.vocab_size
    model = Translator(build_model(options, *sizes), translator.tokenizers, translator.recipe)
    found = model.translate(["Tom is here."], decoding=DecodingOptions(**how), nbest=2, need_weights="heads")[0]
    for one in found:
        assert list(one.heads) == ["layer 1, mean", "layer 1, head 1", "layer 1, head 2"]
        np.testing.assert_allclose(one.heads["layer 1, mean"], one.word_weights, atol=1e-5)


def test_batches_hold_few_tokens_and_one_long_sentence_comes_alone(translator):
    lengths = [10_000, 5, 0, 64, *[3] * 100]
    batches = list(by_length(lengths))
    assert [len(batch) for batch in batches] == [1, 64, 38]
    assert sorted(place for batch in batches for place in batch) == [place for place in range(104) if place != 2]
    assert list(by_equal_length([2, 3, 2, 0, 2], 2)) == [[1], [0, 2], [4]]
    long = " ".join(["Tom"] * 10_000)
    decoding = DecodingOptions(beam=2, max_length=5)
    found = translator.translate([long, "Tom"], decoding=decoding)
    assert len(found[0][0].hypothesis.tokens) <= 5
    assert found[1][0].text == translator.translate(["Tom"], decoding=decoding)[0][0].text


# --- drawing at random ---


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_draws_depend_on_the_generator_alone(translator):
    def draw(seed):
        how = {"decoding": DecodingOptions(sample=True, temperature=1.3), "generator": seeded(seed)}
        return [[one.text for one in found] for found in translator.translate(SENTENCES, nbest=3, **how)]

    assert draw(1) == draw(1) != draw(2)
    assert [len(found) for found in draw(1)] == [1 if not sentence.strip() else 3 for sentence in SENTENCES]


def test_draws_come_with_the_models_own_probabilities_best_first(translator):
    decoding = DecodingOptions(sample=True, top_k=3, length_penalty=0.0)
    found = translator.translate(["I love you."], nbest=5, decoding=decoding)[0]
    order = [(not one.hypothesis.finished, -one.hypothesis.score) for one in found]
    assert order == sorted(order)
    for one in found:
        assert one.hypothesis.score == pytest.approx(sum(one.hypothesis.log_probs))


def test_the_draw_of_least_risk_is_the_one_most_like_all(translator):
    def draw(nbest, risk_draws):
        decoding = DecodingOptions(sample=True, temperature=1.5, min_p=0.01, risk_draws=risk_draws)
        found = translator.translate(["I love you."], nbest=nbest, decoding=decoding, generator=seeded(4))[0]
        return [one.text for one in found]

    every = draw(8, None)
    assert draw(1, 8) == [every[minimum_bayes_risk(every)]]
    assert sorted(draw(8, 8)) == sorted(every)
    with pytest.raises(ValueError, match="nbest is 3, more than risk_draws, 2"):
        draw(3, 2)


# --- round trips ---


@pytest.mark.parametrize(
    "model",
    [
        {"attention": "bahdanau"},
        {"attention": "luong", "wiring": "luong_input_feeding", "score": "dot", "decoder_units": 16},
        {"attention": "bahdanau", "wiring": "look_between", "decoder_layers": 2, "cell": "lstm"},
        {"attention": "monotonic", "wiring": "bahdanau"},
        {"attention": "none", "encoder_layers": 2, "bidirectional": False},
        {"attention": "luong", "tie_embeddings": True},
        {"attention": "luong", "tie_embeddings": True, "share_embeddings": True},
    ],
)
def test_every_kind_of_model_comes_back_the_same(tmp_path, model):
    first = fresh(tmp_path, **model)
    again = Translator.load(first.save(tmp_path / "model"))
    for one, other in zip(first.translate(SENTENCES), again.translate(SENTENCES), strict=True):
        assert (one[0].text, one[0].hypothesis) == (other[0].text, other[0].hypothesis)
    tied = unique_state(again.model)
    assert len(tied) == len({id(parameter) for parameter in again.model.parameters()})
    assert all(torch.equal(tensor, tied[name]) for name, tensor in unique_state(first.model).items())


def test_a_pretrained_embedding_need_not_travel_with_the_model(tmp_path):
    vocabulary = fresh(tmp_path).tokenizers.source.vocab_size
    save_file({"any": torch.randn(vocabulary, 6)}, tmp_path / "words.safetensors")
    first = fresh(tmp_path, source_embeddings=str(tmp_path / "words.safetensors"))
    first.save(tmp_path / "model")
    (tmp_path / "words.safetensors").unlink()
    again = Translator.load(tmp_path / "model")
    assert again.translate(SENTENCES)[0][0].text == first.translate(SENTENCES)[0][0].text
    with pytest.raises(RecipeError, match=r"source_embeddings: .*words\.safetensors cannot be read"):
        read_pretrained(first.recipe.model, first.tokenizers, print)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            save({"a": torch.full((9, 6), torch.nan)}),
            "'a' holds NaN or infinity; give a .safetensors file with a matrix",
        ),
        (
            save({"a": torch.ones(9, 6, dtype=torch.int64)}),
            "'a' is of torch.int64; expected floating-point numbers; give",
        ),
        (save({"a": torch.ones(9, 6)})[:-1], "is damaged or no safetensors file "),
        (b"\xff" * 8 + bytes(99), "is damaged or no safetensors file (its header is too large); give"),
        (save({"a": torch.ones(9, 6)}).replace(b"}}", b"\n}")[:-1], "is damaged or no safetensors file "),
        (pickle.dumps([1]), "is damaged or no safetensors file ("),
        (
            save({"a": torch.ones(9), "b": torch.ones(2, 3)}),
            "holds tensors of shapes [(9,), (2, 3)]; expected a single",
        ),
        (save({"a": torch.ones(8, 6)}), "matrix has shape (8, 6); expected [ids, embedding_dim] = [9, 6]"),
    ],
)
def test_an_embedding_that_cannot_serve_is_refused_in_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "words.safetensors"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=f"^model.target_embeddings: .*{re.escape(sentence)}.*$"):
        read_pretrained(ModelOptions(embedding_dim=6, target_embeddings=str(path)), words_of("a b c d e"), print)


def words_of(text):
    tokenizer = Tokenizer.from_entries(text.split())
    return TokenizerPair(tokenizer, tokenizer, True)


VECTORS = """7 3
the 1 0 0
bonn 0 2 0
Bonn 0 0 3
rome 1 1 1
. . . 9 9 9
. 4 4 4
zz nan 1 1
"""


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_published_vectors_are_those_of_the_words(tmp_path, pack):
    path, said = tmp_path / "vectors.txt", []
    path.write_bytes(pack(VECTORS.encode()))
    torch.manual_seed(0)
    options = ModelOptions(embedding_dim=3, source_embeddings=str(path))
    found = read_pretrained(options, words_of("The Bonn bonn Rome . Xanten"), said.append)
    rows = [[1, 0, 0], [0, 0, 3], [0, 2, 0], [1, 1, 1], [4, 4, 4]]
    assert found.target is None
    assert found.source is not None
    assert found.source[4:9].tolist() == rows
    assert said == [f"{path} has vectors for 5 of 10 source tokens."]
    drawn = found.source[[0, 1, 2, 3, 9]]
    spread = torch.tensor(rows, dtype=torch.float32).std()
    assert 0.3 < drawn.std() / spread < 3
    model = build_model(options, 10, 10, found)
    assert torch.equal(model.state_dict()["encoder.embedding.table.weight"][4:], found.source[4:])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a 1 2\n", "has vectors of 2 numbers in line 1; expected 3, the size of the embedding."),
        ("a 1 2 3\nb 1 2 x\n", r"line 2 holds \[b'1', b'2', b'x'\] behind its word; expected 3 numbers."),
        ("a 1 2 3\nb 1 2 inf\n", "line 2 holds 3 numbers behind its word; expected 3, none infinite or NaN."),
        ("x 1 2 3\ny 1 2 3\n", "has a vector for none of the 9 tokens; expected words of the vocabulary"),
        ("", "has a vector for none of the 9 tokens"),
    ],
)
def test_vectors_that_cannot_serve_are_refused_in_a_sentence(tmp_path, text, sentence):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(RecipeError, match=f"^model.source_embeddings: .*{sentence}"):
        read_pretrained(ModelOptions(embedding_dim=3, source_embeddings=str(path)), words_of("a b c d e"), print)


def test_a_word_that_the_target_lacks_is_aligned_as_unknown_where_nothing_is_copied(tmp_path):
    plain = fresh(tmp_path)
    words = Tokenizer.from_entries([f"w{number}" for number in range(40)] + ["Ann"]), Tokenizer.from_entries(["met"])
    sizes = [side.vocab_size for side in words]
    model = build_model(plain.recipe.model, *sizes).eval()
    plain = Translator(model, TokenizerPair(*words, joint=False), plain.recipe)
    assert plain.align("Ann met", "Ann met").weights.shape[0] == 2
