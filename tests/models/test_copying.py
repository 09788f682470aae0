"""A model that copies: against a mixture written as loops, step by step, in any company, and searched exhaustively."""

import itertools
import math
from typing import Any

import pytest
import torch

from heedful._pytree import reorder
from heedful.attention import CoverageAttention
from heedful.data.vocabulary import EOS, UNK
from heedful.decoding import Constraints, Decoding, Penalties, Sampling, decode
from heedful.functional import TokenTarget
from heedful.layers import Recurrent, TokenEmbedding
from heedful.models import Copying, OutputLayer, RecurrentEncoder, Seq2Seq, UpdateLookAddDecoder, UpdateThenLookDecoder
from heedful.models.copying import LEAST
from heedful.models.shortlisted import Shortlisted
from tests.models.tiny import FEATURES, LOOKING, TARGET_DIM, UNITS, decoder_of
from tests.tolerances import assert_close

WORDS, SPREAD = 9, 0.4
# of 3 sources, beyond the vocabulary: two words, one of them twice; none; one
SOURCE = torch.tensor([[9, 5, 10, 9, 7], [4, 6, 4, 0, 0], [9, 5, 5, 8, 0]])
LENGTHS = torch.tensor([5, 3, 4])
TARGET = torch.tensor([[9, 10, 5, EOS], [4, UNK, EOS, 0], [9, 8, EOS, 0]])


def _decoder(wiring: str, memory_dim: int):
    if wiring == "coverage":
        attention = CoverageAttention(UNITS, memory_dim, hidden_dim=9)
        sizes = {"context_dim": memory_dim, "summary_dim": memory_dim, "output_dim": FEATURES}
        return UpdateThenLookDecoder(attention, Recurrent("lstm", TARGET_DIM, UNITS), **sizes)
    if wiring == "add":
        attention = CoverageAttention(memory_dim, memory_dim, hidden_dim=9)
        return UpdateLookAddDecoder(attention, Recurrent("gru", TARGET_DIM, memory_dim), memory_dim)
    return decoder_of(wiring, memory_dim)


def copier(wiring: str = "input feeding", repeated_looks: float = 0.0) -> Seq2Seq:
    torch.manual_seed(3)
    encoder = RecurrentEncoder(TokenEmbedding(WORDS, 3), 3, 2)
    decoder: Any = _decoder(wiring, encoder.output_dim)
    attention = decoder.attention
    copying = Copying(attention.context_dim, attention.query_dim, TARGET_DIM, WORDS, UNK)
    output = OutputLayer(decoder.output_dim, WORDS)
    target = TokenEmbedding(WORDS, TARGET_DIM)
    model = Seq2Seq(encoder, target, decoder, output, repeated_looks=repeated_looks, copying=copying).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += SPREAD * torch.randn_like(parameter)
    return model


def fed(target=TARGET):
    return torch.cat((torch.full((len(target), 1), 2), target[:, :-1]), 1)


@torch.no_grad()
def by_loops(model: Any, source, lengths, target_in):
    """`[item][step][word]`: the paper's equations 8 and 9, one number after another; known words alone are embedded."""
    pointer, rows = model.copying.pointer, []
    vectors = pointer.context_proj, pointer.state_proj, pointer.input_proj
    for ids, length, words in zip(source.tolist(), lengths.tolist(), target_in.tolist(), strict=True):
        embedded = model.embedding(torch.tensor([[word if word < WORDS else UNK for word in words]]))
        plain = torch.tensor([[word if word < WORDS else UNK for word in ids[:length]]])
        read = model.encoder(plain, torch.tensor([length]))
        encoded = model.decoder.remember(read, torch.ones(1, 1, length).bool())
        out = model.decoder(embedded, model.decoder.start(encoded), encoded, need_weights=True)
        rows.append([])
        for step in range(len(words)):
            parts = zip(vectors, (out.context, out.hidden, embedded), strict=True)
            gate = sum(float((one * other[0, step]).sum()) for one, other in parts) + float(pointer.bias)
            generate = 1 / (1 + math.exp(-gate))
            said = [generate * chance for chance in model.output(out.features[0, step]).softmax(0).tolist()]
            said += [0.0] * source.shape[1]
            for place in range(length):
                said[ids[place]] += (1 - generate) * float(out.weights[0, step, place])
            rows[-1].append(said)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("wiring", [*LOOKING, "coverage", "add"])
def test_mixture_loss_and_steps_are_those_of_the_loops(wiring):
    model = copier(wiring)
    wanted = by_loops(model, SOURCE, LENGTHS, fed())
    assert_close(model(SOURCE, LENGTHS, fed()).exp(), wanted)
    assert_close(wanted.sum(2), torch.ones(TARGET.shape, dtype=torch.float64))
    loss = model(SOURCE, LENGTHS, fed(), target=TokenTarget(TARGET, ignored=0))
    real = TARGET != 0
    chances = wanted.gather(2, TARGET.unsqueeze(2)).squeeze(2)
    assert_close(loss.total, -chances[real].log().sum())
    assert loss.tokens == real.sum()
    assert loss.correct == ((chances == wanted.amax(2)) & real).sum()
    encoded = model.encode(SOURCE, LENGTHS)
    state, weights = model.start(encoded), model.mixtures(SOURCE, LENGTHS, fed()).weights
    for place, tokens in enumerate(fed().unbind(1)):
        output, state = model.step(tokens, state, encoded, need_weights=place % 2 == 0)
        assert_close(output.logits.exp(), wanted[:, place])
        assert (output.weights is None) == bool(place % 2)
        if output.weights is not None:
            assert_close(output.weights, weights[:, place])
    # hypotheses change places, and with them what they may copy
    turn = torch.tensor([2, 0, 0])
    turned = reorder((encoded, model.start(encoded)), turn)
    output, _ = model.step(fed()[turn, 0], turned[1], turned[0])
    assert_close(output.logits.exp(), wanted[turn, 0])


def test_the_loss_has_the_gradient_of_its_formula_and_stays_finite():
    model = copier()
    parameters = list(model.parameters())

    def slopes(total):
        return [one for one in torch.autograd.grad(total, parameters, allow_unused=True) if one is not None]

    ours = slopes(model(SOURCE, LENGTHS, fed(), target=TokenTarget(TARGET, ignored=0)).total)
    chosen = model(SOURCE, LENGTHS, fed()).gather(2, TARGET.unsqueeze(2)).squeeze(2)
    for one, other in zip(ours, slopes(-chosen[TARGET != 0].sum()), strict=True):
        assert_close(one, other)
    nowhere = torch.full((3, 1), WORDS + 3)
    loss = model(SOURCE, LENGTHS, fed(nowhere), target=TokenTarget(nowhere, ignored=0))
    assert_close(loss.total, torch.tensor(-3 * LEAST, dtype=torch.float64))
    assert all(one.isfinite().all() for one in slopes(loss.total))


def test_looking_again_costs_what_equation_12_says():
    model = copier("coverage", repeated_looks=0.7)
    target = TokenTarget(TARGET, ignored=0)
    model.eval()
    plain, weights = model(SOURCE, LENGTHS, fed(), target=target).total, model.align(SOURCE, LENGTHS, fed())
    model.train()
    cost, weights = 0.0, weights.detach()
    for item, step, key in itertools.product(*map(range, weights.shape)):
        if TARGET[item, step] != 0 and key < LENGTHS[item]:
            cost += min(float(weights[item, step, key]), float(weights[item, :step, key].sum()))
    assert cost > 1
    assert_close(model(SOURCE, LENGTHS, fed(), target=target).total, plain + 0.7 * cost)


def test_a_wide_beam_finds_the_best_of_all_sequences_and_greedy_and_draws_say_copied_words():
    model = copier()
    said = {}
    words = [UNK, *range(4, WORDS + 2)]
    with torch.no_grad():
        for length in range(3):
            every = list(itertools.product(words, repeat=length))
            ids = torch.tensor([[*tokens, EOS] for tokens in every])
            log_probs = model(SOURCE[:1].expand(len(ids), -1), LENGTHS[:1].expand(len(ids)), fed(ids))
            said |= dict(zip(every, log_probs.gather(2, ids.unsqueeze(2)).sum((1, 2)).tolist(), strict=True))
    best = sorted(said, key=lambda tokens: -said[tokens])[:5]
    how = Decoding(beam=200, nbest=5, constraints=Constraints(max_length=3), penalties=Penalties(length=0.0))
    found = [one for one in decode(model, SOURCE, LENGTHS, how)[0] if one.finished]
    assert [tuple(one.tokens) for one in found] == best[: len(found)]
    assert len(found) == 5
    assert found[0].score == pytest.approx(said[best[0]], abs=1e-9)
    assert any(token >= WORDS for tokens in best for token in tokens)
    alone = decode(model, SOURCE[2:], LENGTHS[2:], how)[0]
    assert [one.tokens for one in alone] == [one.tokens for one in decode(model, SOURCE, LENGTHS, how)[2]]
    draws = decode(model, SOURCE, LENGTHS, Decoding(sampling=Sampling(), nbest=20))
    assert any(token >= WORDS for one in draws[0] for token in one.tokens)
    # the second source has no word of its own, and the third one
    assert all(token < WORDS for one in draws[1] for token in one.tokens)
    assert all(token <= WORDS for one in draws[2] for token in one.tokens)


@pytest.mark.parametrize("forcing", [0.0, 0.5])
def test_scheduled_sampling_learns_from_copied_words_too(forcing):
    model = copier()
    loss = model(SOURCE, LENGTHS, fed(), teacher_forcing=forcing, target=TokenTarget(TARGET, ignored=0))
    loss.total.backward()
    assert loss.total.isfinite()
    assert all(one.grad is None or one.grad.isfinite().all() for one in model.parameters())


@pytest.mark.messages
def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="unknown is 9; expected an id of the vocabulary, from 0 to 8"):
        Copying(4, 5, 6, vocab_size=9, unknown=9)
    model = copier()
    with pytest.raises(ValueError, match=r"smoothing is 0\.1; a model that copies learns without"):
        model(SOURCE, LENGTHS, fed(), target=TokenTarget(TARGET, 0.1, 0))
    with pytest.raises(ValueError, match="a shortlist is of no use to a model that copies"):
        Shortlisted(model, torch.arange(5))
    model.copying = None
    with pytest.raises(ValueError, match="the model does not copy"):
        model.mixtures(SOURCE, LENGTHS, fed())
