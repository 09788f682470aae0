"""The whole model: scheduled sampling, tied tables, precision, searching, saving, compiling."""

import copy
import itertools

import pytest
import torch

from heedful.decoding import Constraints, Decoding, beam_search, greedy, sample
from heedful.functional import TokenTarget, cross_entropy
from heedful.layers import TokenEmbedding
from heedful.models import OutputLayer
from tests.models.tiny import FEATURES, TARGET_DIM, TARGET_VOCAB, WIRINGS, batch_of, fresh_model_of, model_of
from tests.tolerances import assert_close

each_wiring = pytest.mark.parametrize("wiring", WIRINGS)


class Eavesdropper(torch.nn.Module):
    """An embedding that notes which ids it is asked for."""

    def __init__(self, embedding):
        super().__init__()
        self.embedding, self.vocab_size, self.dim, self.heard = embedding, embedding.vocab_size, embedding.dim, []

    def forward(self, ids):
        self.heard.append(ids)
        return self.embedding(ids)


@each_wiring
def test_without_teacher_forcing_the_model_is_fed_its_own_best_guess(wiring):
    model = model_of(wiring)
    source, lengths, target = batch_of()
    logits = model(source, lengths, target, teacher_forcing=0.0)
    fed = torch.cat((target[:, :1], logits.argmax(-1)[:, :-1]), 1)
    assert_close(logits, model(source, lengths, fed))


@each_wiring
def test_with_a_vanishing_chance_of_a_guess_every_step_is_fed_the_truth(wiring):
    model = model_of(wiring)
    source, lengths, target = batch_of()
    expected = model(source, lengths, target)
    assert_close(model(source, lengths, target, teacher_forcing=1.0), expected)
    assert_close(model(source, lengths, target, teacher_forcing=1 - 1e-12), expected)


def test_scheduled_sampling_feeds_the_truth_as_often_as_asked_and_draws_for_every_token():
    model = model_of("plain")
    source, lengths, target = batch_of((3,) * 50, target_len=21)
    model.embedding = Eavesdropper(model.embedding)
    with torch.no_grad():
        model.output.bias[1] = 1e6  # every guess is 1, which no true token is
        model(source, lengths, target, teacher_forcing=0.7)
    fed = torch.cat(model.embedding.heard, 1)
    assert torch.equal(fed[:, 0], target[:, 0])
    true = fed[:, 1:] == target[:, 1:]
    assert abs(true.double().mean() - 0.7) < 0.04  # 1000 draws: 0.04 is almost three standard deviations
    assert fed[:, 1:][~true].eq(1).all()
    assert true.any(0).all(), "a whole step was drawn at once"
    assert not true.all(0).any(), "a whole step was drawn at once"


def test_gradients_of_scheduled_sampling_are_those_of_what_was_fed():
    model = model_of("input feeding")
    source, lengths, target = batch_of()
    torch.manual_seed(3)
    logits = model(source, lengths, target, teacher_forcing=0.5)
    torch.manual_seed(3)
    again = model(source, lengths, target, teacher_forcing=0.5)
    assert torch.equal(logits, again)
    logits.sin().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.messages
@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_of_teacher_forcing_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"teacher_forcing is .*; expected a share of the steps from 0 to 1"):
        model_of("plain")(*batch_of(), teacher_forcing=share)


def test_a_tied_table_is_one_parameter_with_the_gradient_of_both_uses():
    model = model_of("look then update", tied=True)
    assert model.output.weight is model.embedding.weight
    assert "output.weight" not in dict(model.named_parameters())
    assert model.output.project.weight.shape == (TARGET_DIM, FEATURES)
    source, lengths, target = batch_of()
    (both,) = torch.autograd.grad(model(source, lengths, target).sin().sum(), [model.embedding.weight])
    embedding = copy.deepcopy(model.embedding)
    apart = copy.deepcopy(model)
    apart.embedding = embedding
    assert apart.output.weight is not apart.embedding.weight
    parts = torch.autograd.grad(
        apart(source, lengths, target).sin().sum(), [apart.embedding.weight, apart.output.weight]
    )
    assert all(part.abs().max() > 0 for part in parts)
    assert_close(both, parts[0] + parts[1])


@each_wiring
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("forcing", [1.0, 0.5])
def test_given_the_target_a_model_answers_with_the_loss_of_its_logits(wiring, tied, forcing):
    model = model_of(wiring, tied=tied)
    source, lengths, target = batch_of()
    answer = torch.randint(4, TARGET_VOCAB, target.shape)
    answer[0, 4:] = 0
    losses, slopes = [], []
    for given in ({}, {"target": TokenTarget(answer, 0.1, ignored=0)}):
        torch.manual_seed(4)
        found = model(source, lengths, target, forcing, **given)
        losses.append(found if given else cross_entropy(found, TokenTarget(answer, 0.1, ignored=0)))
        slopes.append(torch.autograd.grad(losses[-1].total, list(model.parameters()), allow_unused=True))
    for ours, theirs in zip(*losses, strict=True):
        assert_close(ours.double(), theirs.double())
    for ours, theirs in zip(*slopes, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_an_untied_output_has_a_matrix_of_its_own():
    model = model_of("look then update")
    assert model.output.weight.shape == (TARGET_VOCAB, FEATURES)
    assert isinstance(model.output.project, torch.nn.Identity)
    assert {"output.weight", "embedding.table.weight"} <= set(dict(model.named_parameters()))


def test_a_tied_output_of_the_same_size_is_not_projected():
    table = TokenEmbedding(TARGET_VOCAB, FEATURES)
    layer = OutputLayer(FEATURES, TARGET_VOCAB, tied=table)
    assert isinstance(layer.project, torch.nn.Identity)
    features = torch.randn(2, 3, FEATURES)
    assert_close(layer(features), features @ table.weight.T)


def test_padding_of_a_tied_model_embeds_to_zeros_after_training():
    model = fresh_model_of("update then look", tied=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        model(*batch_of()).logsumexp(-1).sum().backward()
        optimiser.step()
    assert model.embedding.weight[0].abs().max() > 0
    assert model.embedding(torch.zeros(1, 1, dtype=torch.long)).eq(0).all()


@each_wiring
def test_gradcheck_of_a_loss(wiring):
    model = model_of(wiring)
    source, lengths, target = batch_of((2, 1), target_len=3, extra=1)
    names, parameters = zip(*model.named_parameters(), strict=True)

    def loss(*values):
        logits = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (source, lengths, target))
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())

    assert torch.autograd.gradcheck(loss, parameters, fast_mode=True)


@pytest.mark.parametrize(("wiring", "cell"), [*itertools.product(WIRINGS, ("gru", "lstm"))])
def test_bfloat16_autocast_runs_and_stays_close(wiring, cell):
    model = fresh_model_of(wiring, cell)
    source, lengths, target = batch_of()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(source, lengths, target)
        encoded = model.encode(source, lengths)
        output, state = model.step(target[:, 0], model.start(encoded), encoded, need_weights=True)
        output, _ = model.step(target[:, 1], state, encoded, need_weights=True)
    assert_close(logits.float(), model(source, lengths, target), torch.bfloat16)
    assert_close(output.logits.float(), model(source, lengths, target)[:, 1], torch.bfloat16)
    logits.float().logsumexp(-1).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@each_wiring
def test_dropout_works_in_training_only(wiring):
    model, same = model_of(wiring, layers=2, dropout=0.5), model_of(wiring, layers=2)
    batch = batch_of()
    assert not torch.equal(model(*batch), model(*batch))
    model.eval()
    assert torch.equal(model(*batch), model(*batch))
    assert_close(model(*batch), same(*batch))


@each_wiring
def test_dropout_stands_on_the_features_of_a_decoder(wiring):
    model = model_of(wiring)
    model.decoder.dropout.p = 0.5
    source, lengths, target = batch_of()
    encoded = model.encode(source, lengths)
    output = model.decoder(model.embedding(target), model.decoder.start(encoded), encoded)
    assert 0.2 < output.features.eq(0).double().mean() < 0.8


@each_wiring
def test_every_search_runs_and_a_beam_of_one_is_greedy(wiring):
    model = model_of(wiring, layers=2)
    source, lengths, _ = batch_of()
    limits = Constraints(max_length=6)
    best = greedy(model, source, lengths, Decoding(need_weights=True, constraints=limits))
    beams = beam_search(model, source, lengths, Decoding(beam=1, constraints=limits, need_weights=True))
    for one, (other,) in zip(best, beams, strict=True):
        assert one.tokens == other.tokens
        assert one.log_probs == pytest.approx(other.log_probs)
    wide = beam_search(model, source, lengths, Decoding(beam=4, nbest=2, constraints=limits))
    assert [len(hypotheses) for hypotheses in wide] == [2, 2, 2]
    assert len(sample(model, source, lengths, Decoding(constraints=limits))) == 3
    for row, (hypothesis, length) in enumerate(zip(best, lengths.tolist(), strict=True)):
        alone = greedy(model, source[row : row + 1, :length], lengths[row : row + 1], Decoding(constraints=limits))[0]
        assert alone.tokens == hypothesis.tokens
        if wiring == "plain":
            assert hypothesis.weights is None
        else:
            assert hypothesis.weights.shape == (len(hypothesis.tokens), length)


@pytest.mark.parametrize(("wiring", "tied"), [*itertools.product(WIRINGS, (False, True))])
def test_a_model_travels_through_its_state_dict_and_through_deepcopy(wiring, tied, tmp_path):
    model, other = model_of(wiring, tied=tied), model_of(wiring, tied=tied, seed=1)
    batch = batch_of()
    assert not torch.equal(other(*batch), model(*batch))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    twin = copy.deepcopy(model)
    assert torch.equal(other(*batch), model(*batch))
    assert torch.equal(twin(*batch), model(*batch))
    for each in (other, twin):
        assert (each.output.weight is each.embedding.weight) == tied
        assert not {parameter.data_ptr() for parameter in each.parameters()} & {
            parameter.data_ptr() for parameter in model.parameters()
        }


@pytest.mark.compile
@torch.no_grad()  # as a search runs it; torch warns when a state that has a gradient enters compiled code
@each_wiring
def test_a_compiled_step_gives_the_same(wiring):
    model = model_of(wiring, layers=2)
    source, lengths, target = batch_of()
    step = torch.compile(model.step, backend="aot_eager")
    encoded = model.encode(source, lengths)
    state = mirror = model.start(encoded)
    for tokens in target[:, :3].unbind(1):
        expected, state = model.step(tokens, state, encoded, need_weights=True)
        output, mirror = step(tokens, mirror, encoded, need_weights=True)
        assert_close(output.logits, expected.logits)
        if wiring != "plain":
            assert_close(output.weights, expected.weights)
