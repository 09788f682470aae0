"""What a step promises: it equals teacher forcing, carries its state, sees no padding and survives reordering."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from heedful._pytree import map_tensors, reorder, repeat
from heedful.attention import Attention
from heedful.attention.windows import CausalWindow
from heedful.models import EncoderOutput
from tests.models.tiny import LOOKING, SOURCE_VOCAB, TARGET_VOCAB, WIRINGS, batch_of, model_of
from tests.tolerances import assert_close

each_wiring = pytest.mark.parametrize("wiring", WIRINGS)
each_looking = pytest.mark.parametrize("wiring", LOOKING)
each_kind = pytest.mark.parametrize(("wiring", "cell"), [*itertools.product(WIRINGS, ("gru", "lstm"))])


def _walk(model, source, lengths, target, need_weights=False):
    """Step by step over the columns of `target`."""
    encoded = model.encode(source, lengths)
    state, outputs = model.start(encoded), []
    for tokens in target.unbind(1):
        output, state = model.step(tokens, state, encoded, need_weights)
        outputs.append(output)
    return outputs, state


def assert_same_trees(ours, theirs):
    for one, other in zip(pytree.tree_leaves(ours), pytree.tree_leaves(theirs), strict=True):
        if one is not None:  # positions and masks are compared as numbers, too
            assert_close(one.double(), other.double())


@each_kind
def test_teacher_forcing_all_at_once_equals_step_by_step(wiring, cell):
    model = model_of(wiring, cell, layers=2)
    source, lengths, target = batch_of()
    encoded = model.encode(source, lengths)
    at_once = model.decoder(model.embedding(target), model.start(encoded), encoded, need_weights=True)
    steps, state = _walk(model, source, lengths, target, need_weights=True)
    assert_close(torch.stack([step.logits for step in steps], 1), model(source, lengths, target))
    assert_same_trees(state, at_once.state)
    if wiring != "plain":
        assert_close(torch.stack([step.weights for step in steps], 1), at_once.weights)


@each_looking
def test_the_state_of_the_attention_is_carried(wiring):
    """A causal window counts its queries: step `t` may look no further than key `t`."""
    model = model_of(wiring)
    model.decoder.attention = Attention(model.decoder.attention.score, CausalWindow())
    source, lengths, target = batch_of((7, 7, 5), extra=0)
    steps, _ = _walk(model, source, lengths, target, need_weights=True)
    weights = torch.stack([step.weights for step in steps], 1)
    seen = torch.ones(7, 7).tril().bool() & (torch.arange(7) < lengths[:, None, None])
    assert torch.equal(weights > 0, seen)
    assert_close(weights, model.align(source, lengths, target))


@each_wiring
def test_any_cut_of_the_target_into_two_calls_gives_the_same(wiring):
    model = model_of(wiring)
    source, lengths, target = batch_of()
    encoded = model.encode(source, lengths)
    whole = model.decoder(model.embedding(target), model.start(encoded), encoded)
    first = model.decoder(model.embedding(target[:, :3]), model.start(encoded), encoded)
    second = model.decoder(model.embedding(target[:, 3:]), first.state, encoded)
    assert_close(torch.cat((first.features, second.features), 1), whole.features)


@each_looking
@pytest.mark.parametrize("score", ["bahdanau", "general", "concat"])
def test_asking_for_weights_changes_no_feature_and_no_state(wiring, score):
    model = model_of(wiring, score=score)
    source, lengths, target = batch_of()
    encoded = model.encode(source, lengths)
    without, asked = (
        model.decoder(model.embedding(target), model.start(encoded), encoded, need_weights)
        for need_weights in (False, True)
    )
    assert without.weights is None
    assert_close(asked.features, without.features)
    assert_same_trees(asked.state, without.state)
    assert_close(asked.weights.sum(-1), torch.ones(target.shape, dtype=torch.float64))
    assert asked.weights.shape == (*target.shape, source.shape[1])


def test_a_plain_model_has_no_weights_to_give():
    model = model_of("plain")
    source, lengths, target = batch_of()
    assert all(output.weights is None for output in _walk(model, source, lengths, target, need_weights=True)[0])


@each_kind
def test_the_recurrent_state_is_carried_and_not_only_through_what_is_looked_at(wiring, cell):
    """With a source of one token every look returns the same: what an early token says must still be heard later."""
    model = model_of(wiring, cell)
    source, lengths, target = batch_of((1, 1), extra=0)
    before = model(source, lengths, target)
    target[:, 2] = (target[:, 2] - 3) % (TARGET_VOCAB - 4) + 4  # another ordinary token
    change = (model(source, lengths, target) - before).abs().amax(-1)
    assert change[:, :2].max() == 0
    assert change[:, 2:].min() > 1e-7


@each_kind
def test_what_the_encoder_says_first_reaches_the_decoder(wiring, cell):
    model = model_of(wiring, cell)
    source, lengths, target = batch_of()
    encoded = model.encode(source, lengths)
    state = model.start(encoded)
    silent = map_tensors(torch.zeros_like, state)
    heard, unheard = (model.step(target[:, 0], each, encoded)[0].logits for each in (state, silent))
    assert (heard - unheard).abs().amax(-1).min() > 1e-3


def _logits_and_gradients(model, source, lengths, target):
    logits = model(source, lengths, target)
    return logits, *torch.autograd.grad(logits.sin().sum(), list(model.parameters()))


@each_kind
def test_padding_of_the_source_has_no_influence_even_if_it_embeds_to_nan(wiring, cell):
    model = model_of(wiring, cell, layers=2)
    source, lengths, target = batch_of(extra=0)
    wider = torch.cat((source, torch.zeros_like(source[:, :2])), 1)
    narrow = _logits_and_gradients(model, source, lengths, target)
    encoder: Any = model.encoder
    with torch.no_grad():
        encoder.embedding.weight[0] = float("nan")
    for one, other in zip(narrow, _logits_and_gradients(model, wider, lengths, target), strict=True):
        assert_close(other, one)


@each_looking
def test_what_stands_in_the_memory_at_padding_has_no_influence(wiring):
    """Not only zeros, which is what the encoder leaves there."""
    model = model_of(wiring)
    source, lengths, target = batch_of()
    encoded = model.encoder(source, lengths)
    mask = (torch.arange(source.shape[1]) < lengths[:, None])[:, None]
    results = []
    for filler in (0.0, float("nan")):
        outputs = encoded.outputs.masked_fill(~mask.transpose(1, 2), filler)
        memory = model.decoder.remember(EncoderOutput(outputs, encoded.summary), mask)
        output = model.decoder(model.embedding(target), model.start(memory), memory, need_weights=True)
        gradients = torch.autograd.grad(output.features.sum(), list(model.decoder.parameters()), retain_graph=True)
        results.append((output.features, output.weights, *gradients))
    for zeros, nans in zip(*results, strict=True):
        assert_close(nans, zeros)


@each_wiring
def test_sentences_of_a_batch_do_not_see_each_other(wiring):
    model = model_of(wiring, layers=2)
    source, lengths, target = batch_of()
    together = model(source, lengths, target)
    for row, length in enumerate(lengths):
        alone = model(source[row : row + 1, :length], lengths[row : row + 1], target[row : row + 1])
        assert_close(together[row : row + 1], alone)


@each_kind
def test_reorder_then_step_equals_step_then_reorder(wiring, cell):
    model = model_of(wiring, cell, layers=2)
    source, lengths, target = batch_of()
    encoded = model.encode(source, lengths)
    state = model.start(encoded)
    _, state = model.step(target[:, 0], state, encoded)
    index = torch.tensor([2, 0, 2, 1])
    output, after = model.step(target[:, 1], state, encoded, need_weights=True)
    moved, moved_after = model.step(target[index, 1], reorder(state, index), reorder(encoded, index), need_weights=True)
    assert_close(moved.logits, output.logits[index])
    assert_same_trees(moved_after, reorder(after, index))
    if output.weights is not None:
        assert_close(moved.weights, output.weights[index])
    assert (output.weights is None) == (moved.weights is None) == (wiring == "plain")


@each_kind
def test_all_that_is_carried_has_the_batch_axis_first(wiring, cell):
    model = model_of(wiring, cell, layers=2)
    source, lengths, target = batch_of()
    encoded = model.encode(source, lengths)
    _, state = _walk(model, source, lengths, target)
    for tree in (encoded, model.start(encoded), state):
        leaves = [leaf for leaf in pytree.tree_leaves(tree) if leaf is not None]
        assert leaves
        assert all(isinstance(leaf, Tensor) and leaf.shape[0] == 3 for leaf in leaves)
        assert all(leaf.shape[0] == 6 for leaf in pytree.tree_leaves(repeat(tree, 2)) if leaf is not None)


@each_wiring
def test_no_module_remembers_the_last_call(wiring):
    model = model_of(wiring)
    first, second = batch_of(), batch_of((4, 1))
    before = model(*first)
    encoded = model.encode(*first[:2])
    state = model.start(encoded)
    kept = map_tensors(torch.clone, (encoded, state))
    model.step(first[2][:, 0], state, encoded)
    model(*second)
    assert_same_trees((encoded, state), kept)
    assert torch.equal(model(*first), before)


@each_wiring
def test_memory_rows_are_read_by_all_but_the_plain_decoder(wiring):
    """A plain decoder knows the summary alone: what the encoder said of any token does not reach it."""
    model = model_of(wiring)
    source, lengths, target = batch_of(extra=0)
    encoded = model.encoder(source, lengths)
    mask = (torch.arange(source.shape[1]) < lengths[:, None])[:, None]
    features = []
    for shift in (0.0, 1.0):
        memory = model.decoder.remember(EncoderOutput(encoded.outputs + shift, encoded.summary), mask)
        features.append(model.decoder(model.embedding(target), model.start(memory), memory).features)
    change = (features[0] - features[1]).abs().max()
    assert change == 0 if wiring == "plain" else change > 1e-3


@each_wiring
def test_every_source_token_can_matter(wiring):
    model = model_of(wiring)
    source, lengths, target = batch_of((5,), extra=0)
    before = model(source, lengths, target)
    for place in range(5):
        other = source.clone()
        other[0, place] = (other[0, place] - 3) % (SOURCE_VOCAB - 4) + 4
        assert (model(other, lengths, target) - before).abs().max() > 1e-6
