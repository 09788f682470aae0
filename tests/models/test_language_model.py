"""Language models: step by step with a cache, after a prompt, and under every search, as in one pass."""

import re

import pytest
import torch

from heedful._pytree import reorder
from heedful.attention import Attention
from heedful.attention.scores import AdditiveScore
from heedful.decoding import Constraints, Decoding, Sampling, beam_search, greedy, sample
from heedful.functional import TokenTarget, cross_entropy
from heedful.layers import Recurrent, TokenEmbedding
from heedful.models import LanguageModel, OutputLayer, PlainDecoder, SelfLookDecoder
from heedful.tasks.build import build_language_model
from heedful.tasks.model_options import ModelOptions
from tests.tolerances import assert_close

TEXT = torch.tensor([[2, 4, 9, 5, 6, 7], [2, 8, 5, 5, 10, 4]])
KINDS = [
    {"transformer": {"positions": kind}}
    for kind in ("sinusoidal", "learned", "rotary", "alibi", "t5", "shaw", "transformer_xl", "none")
]
KINDS += [
    {"transformer": {"decoder_self": {"window": {"name": "block", "size": 3}, "normalizer": "sparsemax"}}},
    {"attention": "bahdanau"},
    {"attention": "coverage"},
    {"attention": "multi_head", "cell": "lstm", "decoder_layers": 2},
    {"attention": "none"},
]


def language_model(kind):
    kind = {"decoder_layers": 2, **kind} if "transformer" in kind else kind
    own = {"heads": 2, "hidden_units": 9, "max_positions": 12, **kind.get("transformer", {})}
    side = "transformer" if "transformer" in kind else "recurrent"
    sizes = {"embedding_dim": 8, "units": 6, "dropout": 0.0, "tie_embeddings": True}
    return build_language_model(ModelOptions(**{**sizes, **kind, "decoder": side, "transformer": own}), 11).eval()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_cache_a_prompt_and_the_whole_agree_and_nothing_sees_what_comes(kind):
    model = language_model(kind).double()
    whole = model(TEXT)
    changed = TEXT.clone()
    changed[:, 4:] = 3
    assert_close(model(changed)[:, :4], whole[:, :4])
    for prompt in (0, 3):
        # padding behind the prompts has no say
        encoded = model.encode(TEXT[:, 1:5], torch.full((2,), prompt))
        state, order = model.start(encoded), torch.arange(2)
        for place in range(prompt, TEXT.shape[1]):
            output, state = model.step(TEXT[order, place], state, encoded)
            assert_close(output.logits, whole[order, place])
            swap = torch.tensor([1, 0])
            order, state, encoded = order[swap], reorder(state, swap), reorder(encoded, swap)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[9]], ids=str)
def test_every_search_continues_a_prompt_by_what_the_whole_says(kind):
    model, prompt = language_model(kind), TEXT[:, 1:3]
    limits, lengths = Constraints(min_length=4, max_length=4), torch.tensor([2, 2])
    best = [found[0] for found in beam_search(model, prompt, lengths, Decoding(beam=3, constraints=limits))]
    how = Decoding(sampling=Sampling(generator=torch.Generator().manual_seed(0)), constraints=limits)
    drawn = [found[0] for found in sample(model, prompt, lengths, how)]
    for searched in (best, drawn, greedy(model, prompt, lengths, Decoding(constraints=limits))):
        for row, found in zip(TEXT, searched, strict=True):
            text = torch.cat((row[:3], torch.tensor(found.tokens)))[None]
            said = model(text).log_softmax(-1)[0, 2:6].gather(1, text[0, 3:, None]).squeeze(1)
            assert_close(torch.tensor(found.log_probs), said)


def test_given_the_target_the_answer_is_the_loss_of_the_logits():
    model = language_model(KINDS[0]).double()
    target = TokenTarget(TEXT.roll(-1, 1), 0.1, ignored=3)
    for ours, theirs in zip(model(TEXT, target), cross_entropy(model(TEXT), target), strict=True):
        assert_close(ours.double(), theirs.double())


def test_every_layer_and_head_of_a_text_is_shown():
    weights = language_model(KINDS[0]).look(TEXT)
    assert weights.shape == (2, 2, 2, 6, 6)
    assert_close(weights.sum(-1), torch.ones(2, 2, 2, 6))
    assert not weights.triu(1).any()
    assert language_model(KINDS[9]).look(TEXT).shape == (2, 6, 6)
    assert language_model(KINDS[-1]).look(TEXT) is None


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[9]], ids=str)
def test_gradients_reach_every_parameter(kind):
    model = language_model(kind).train()
    model(TEXT).square().mean().backward()
    assert all(
        parameter.grad is not None and parameter.grad.any()
        for name, parameter in model.named_parameters()
        if "key_proj.bias" not in name
    )


@pytest.mark.messages
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: language_model({}).encode(TEXT, torch.tensor([2, 3])),
            "the prompts have 2 to 3 tokens; expected one length, since padding",
        ),
        (lambda: language_model({"attention": "local_m"}), "model.attention is 'local_m', which reads a source"),
        (
            lambda: SelfLookDecoder(Attention(AdditiveScore(7, 7, 3)), Recurrent("gru", 5, 7), 6),
            "attention has a EverywhereWindow, which may show the steps to come",
        ),
        (
            lambda: LanguageModel(
                TokenEmbedding(11, 4), PlainDecoder(Recurrent("gru", 5, 7), 5, 1, 6), OutputLayer(6, 11), 2
            ),
            "embedding's dim is 4; expected 5",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()
