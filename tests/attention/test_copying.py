"""Copying: the mixture against a product with one-hot rows, and its edges."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from heedful.attention import AttentionOutput, CopyDistribution, CopyGate, CopyNet, LuongAttention, PointerGenerator
from tests.tolerances import assert_close

BATCH, QUERIES, KEYS, WORDS, EXTRA = 2, 3, 5, 7, 4


def draw(dtype=torch.float64):
    words = torch.randn(BATCH, QUERIES, WORDS, dtype=dtype, requires_grad=True)
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=dtype, requires_grad=True)
    gate = torch.randn(BATCH, QUERIES, dtype=dtype, requires_grad=True)
    return words, scores, gate, torch.randint(WORDS + EXTRA, (BATCH, KEYS))


def mixture(words, scores, gate, ids):
    return CopyDistribution(words.log_softmax(2), scores.softmax(2), ids, gate)


def by_product(mixed, extra=EXTRA):
    """The paper's equation 9 with a matrix that says which word stands at which place."""
    generate = torch.sigmoid(mixed.gate).unsqueeze(2)
    places = nn.functional.one_hot(mixed.source_ids, WORDS + extra).to(mixed.weights.dtype)
    words = nn.functional.pad(mixed.log_vocabulary.exp(), (0, extra))
    return generate * words + (1 - generate) * mixed.weights @ places


def test_it_is_the_product_with_gradients_and_sums_to_one():
    leaves = draw()
    mixed = mixture(*leaves)
    log_probs, wanted = mixed.log_probs(EXTRA), by_product(mixed)
    assert_close(log_probs.exp(), wanted)
    assert_close(log_probs.exp().sum(2), torch.ones(BATCH, QUERIES))
    upstream = torch.randn_like(wanted) * (wanted > 0)
    safe = torch.where(wanted > 0, wanted, 1).log()
    ours = torch.autograd.grad(log_probs.masked_fill(wanted == 0, 0), leaves[:3], upstream, retain_graph=True)
    for one, other in zip(ours, torch.autograd.grad(safe, leaves[:3], upstream), strict=True):
        assert_close(one, other)


@given(st.lists(st.integers(0, WORDS + EXTRA - 1), min_size=KEYS, max_size=KEYS))
def test_a_word_that_stands_twice_is_copied_from_both_places(ids):
    words, scores, gate, _ = draw()
    mixed = mixture(words, scores, gate, torch.tensor([ids] * BATCH))
    assert_close(mixed.log_probs(EXTRA).exp(), by_product(mixed))


def test_the_chance_of_one_word_is_that_of_all():
    mixed = mixture(*draw())
    log_probs = mixed.log_probs(EXTRA)
    for word in range(WORDS + EXTRA):
        found = mixed.log_prob_of(torch.full((BATCH, QUERIES), word))
        assert_close(found.exp(), log_probs[..., word].exp())
        assert found.isneginf().equal(log_probs[..., word].isneginf())


@pytest.mark.parametrize(("gate", "what"), [(80.0, "generates"), (-80.0, "copies")])
def test_a_gate_that_is_sure_leaves_one_of_the_two(gate, what):
    words, scores, _, ids = draw()
    mixed = mixture(words, scores, torch.full((BATCH, QUERIES), gate, dtype=torch.float64), ids)
    places = nn.functional.one_hot(ids, WORDS + EXTRA).double()
    wanted = nn.functional.pad(mixed.log_vocabulary.exp(), (0, EXTRA))
    assert_close(mixed.log_probs(EXTRA).exp(), wanted if what == "generates" else mixed.weights @ places)


def test_without_a_source_every_word_is_generated():
    words, scores, gate, ids = draw()
    assert_close(mixture(words, scores[..., :0], gate, ids[:, :0]).log_probs(0), words.log_softmax(2))


def test_forcing_to_copy_leaves_the_vocabulary_out_where_the_source_has_the_word():
    mixed = mixture(*draw())
    target = torch.stack([ids[torch.tensor([0, 1, 4])] for ids in mixed.source_ids])
    copied = ((mixed.source_ids.unsqueeze(1) == target.unsqueeze(2)) * mixed.weights).sum(2)
    assert_close(mixed.log_prob_of(target, force_copy=True), ((1 - torch.sigmoid(mixed.gate)) * copied).log())
    absent = [word for word in range(WORDS) if not (mixed.source_ids == word).any()]
    target = torch.full((BATCH, QUERIES), absent[0])
    assert_close(mixed.log_prob_of(target, force_copy=True), mixed.log_prob_of(target))


def test_nothing_to_copy_is_the_vocabulary_alone():
    words, scores, gate, ids = draw()
    weights = scores.softmax(2).masked_fill(torch.tensor([True, False, False]).view(1, 3, 1), 0)
    mixed = CopyDistribution(words.log_softmax(2), weights, ids, gate)
    assert_close(mixed.log_probs(EXTRA)[:, 0, :WORDS], mixed.log_vocabulary[:, 0])
    slopes = torch.autograd.grad(mixed.log_prob_of(torch.ones(BATCH, QUERIES, dtype=torch.long)).sum(), (scores, gate))
    assert all(slope.isfinite().all() and not slope[:, 0].any() for slope in slopes)


def test_an_impossible_word_is_minus_infinity_and_no_slope_is_nan():
    words, scores, gate, ids = draw()
    with torch.no_grad():
        scores[..., 0] = -1e4  # its weight is 0, or nearly
        words[..., 0] = -1e4
        gate[0] = 1e4
        gate[1] = -1e4
    for dtype in (torch.float32, torch.float64):
        leaves = [leaf.detach().to(dtype).requires_grad_() for leaf in (words, scores, gate)]
        log_probs = mixture(*leaves, ids).log_probs(EXTRA)
        assert not log_probs.isnan().any()
        slopes = torch.autograd.grad(log_probs.masked_fill(log_probs.isneginf(), 0).sum(), leaves)
        assert all(slope.isfinite().all() for slope in slopes)


def test_a_weight_too_small_for_a_slope_sends_none():
    for weight in (1e-44, 1e-39, 2e-38):
        scores = torch.tensor([[[1 - weight, weight]]], requires_grad=True)
        mixed = CopyDistribution(torch.full((1, 1, 3), 1 / 3).log(), scores, torch.tensor([[0, 1]]), torch.zeros(1, 1))
        (slope,) = torch.autograd.grad(mixed.log_probs().sum(), scores)
        assert slope.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrower_numbers_come_close_and_stay_wide(dtype):
    words, scores, gate, ids = draw()
    narrow = [tensor.detach().to(dtype) for tensor in (words, scores.softmax(2), gate)]
    found = CopyDistribution(narrow[0], narrow[1], ids, narrow[2]).log_probs(EXTRA)
    expected = CopyDistribution(narrow[0].double(), narrow[1].double(), ids, narrow[2].double()).log_probs(EXTRA)
    assert found.dtype == torch.float32
    assert_close(found.exp(), expected.exp(), dtype)


def look():
    return AttentionOutput(
        torch.randn(BATCH, QUERIES, 6).double(), torch.randn(BATCH, QUERIES, KEYS).double().softmax(2)
    )


def test_the_gate_of_the_pointer_generator_is_its_formula():
    layer, looked = PointerGenerator(6, 4, 3).double(), look()
    nn.init.normal_(layer.bias)
    state, inputs = torch.randn(BATCH, QUERIES, 4).double(), torch.randn(BATCH, QUERIES, 3).double()
    words, _, _, ids = draw()
    mixed = layer(words, looked, ids, state, inputs)
    for item in range(BATCH):
        for step in range(QUERIES):
            wanted = layer.context_proj @ looked.context[item, step] + layer.state_proj @ state[item, step]
            assert_close(mixed.gate[item, step], wanted + layer.input_proj @ inputs[item, step] + layer.bias)
    assert_close(mixed.log_vocabulary.exp(), words.exp() / words.exp().sum(2, keepdim=True))
    assert mixed.weights is looked.weights


def test_a_copy_gate_is_a_pointer_generator_that_reads_the_state_alone_with_the_sign_turned():
    gate, generator, looked = CopyGate(4, pad=None).double(), PointerGenerator(6, 4, 3).double(), look()
    with torch.no_grad():
        gate.bias.normal_()
        for parameter in (generator.context_proj, generator.input_proj):
            parameter.zero_()
        generator.state_proj.copy_(-gate.weight)
        generator.bias.copy_(-gate.bias)
    state, (words, _, _, ids) = torch.randn(BATCH, QUERIES, 4).double(), draw()
    theirs = generator(words, looked, ids, state, torch.randn(BATCH, QUERIES, 3).double())
    assert_close(gate(words, looked, ids, state).log_probs(EXTRA).exp(), theirs.log_probs(EXTRA).exp())


def copy_net_by_hand(layer, logits, state, key, ids, visible):
    """Gu et al. 2016, equations 4 to 8, for one state: the exponentials of all words and places over their sum."""
    chances = [logit.exp() for logit in logits] + [torch.zeros((), dtype=torch.float64)] * EXTRA
    for place in range(KEYS):
        if visible[place]:
            score = torch.tanh(layer.weight @ key[place]) @ state
            chances[ids[place]] = chances[ids[place]] + score.exp()
    return torch.stack(chances) / sum(chances)


def copy_net(mask=None):
    leaves = [
        torch.randn(*shape).double().requires_grad_()
        for shape in ((BATCH, QUERIES, WORDS), (BATCH, QUERIES, 4), (BATCH, KEYS, 3))
    ]
    layer, ids = CopyNet(4, 3).double(), torch.randint(WORDS + EXTRA, (BATCH, KEYS))
    ids[:, 1] = ids[:, 0]
    return layer, leaves, ids, layer(*leaves, ids, mask)


@pytest.mark.parametrize("masked", [False, True])
def test_copynet_is_one_softmax_over_words_and_places_with_gradients(masked):
    mask = torch.tensor([[True] * KEYS, [True, False, True, False, False]]) if masked else None
    layer, leaves, ids, mixed = copy_net(mask)
    visible = torch.ones(BATCH, KEYS) if mask is None else mask
    logits, state, key = leaves
    wanted = torch.stack(
        [
            torch.stack(
                [copy_net_by_hand(layer, logits[b, q], state[b, q], key[b], ids[b], visible[b]) for q in range(QUERIES)]
            )
            for b in range(BATCH)
        ]
    )
    found = mixed.log_probs(EXTRA).exp()
    assert_close(found, wanted)
    assert_close(found.sum(2), torch.ones(BATCH, QUERIES))
    upstream, own = torch.randn_like(wanted), [*leaves, layer.weight]
    ours = torch.autograd.grad(found, own, upstream)
    for one, other in zip(ours, torch.autograd.grad(wanted, own, upstream), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_copynet_does_not_see_padding_and_a_source_of_padding_leaves_the_vocabulary_alone(poison):
    mask = torch.tensor([[True, True, True, False, False], [False] * KEYS])
    layer, leaves, ids, mixed = copy_net(mask)
    slopes = torch.autograd.grad(mixed.log_prob_of(torch.ones(BATCH, QUERIES, dtype=torch.long)).sum(), leaves)
    assert all(slope.isfinite().all() for slope in slopes)
    assert not slopes[2][~mask].any()
    assert not slopes[1][1].any()
    with torch.no_grad():
        leaves[2][~mask] = poison
    again = layer(*leaves, ids, mask.unsqueeze(1))
    assert again.log_probs(EXTRA).equal(mixed.log_probs(EXTRA))
    assert_close(mixed.log_probs(EXTRA)[1, :, :WORDS], leaves[0][1].log_softmax(1))
    said = ids[:, :QUERIES]
    assert again.selective_read(said, leaves[2]).isfinite().all()
    assert not again.selective_read(said, leaves[2])[1].any()


def test_copynet_without_keys_is_the_vocabulary():
    layer, (logits, state, key), ids, _ = copy_net()
    found = layer(logits, state, key[:, :0], ids[:, :0]).log_probs()
    assert_close(found, logits.log_softmax(2))
    assert torch.autograd.grad(found.square().sum(), logits)[0].isfinite().all()


def test_a_selective_read_is_the_mean_of_the_places_of_the_word():
    _, (_, _, key), ids, mixed = copy_net()
    absent = WORDS + EXTRA
    said = torch.stack([ids[:, 0], ids[:, 4], torch.full((BATCH,), absent)], 1)
    read = mixed.selective_read(said, key)
    for item in range(BATCH):
        for step in range(QUERIES):
            places = [k for k in range(KEYS) if ids[item, k] == said[item, step]]
            shares = mixed.weights[item, step, places]
            wanted = shares / shares.sum() @ key[item, places] if places else torch.zeros(3)
            assert_close(read[item, step], wanted)


def test_padding_is_never_generated():
    words, _, _, ids = draw()
    assert CopyGate(4).pad == 0
    mixed = CopyGate(4, pad=2).double()(words, look(), ids.clamp_min(3), torch.randn(BATCH, QUERIES, 4).double())
    log_probs = mixed.log_probs(EXTRA)
    assert log_probs[..., 2].isneginf().all()
    assert_close(log_probs.exp().sum(2), torch.ones(BATCH, QUERIES))
    (slope,) = torch.autograd.grad(log_probs.masked_fill(log_probs.isneginf(), 0).sum(), words)
    assert slope.isfinite().all()
    assert not slope[..., 2].any()


def test_a_target_in_neither_becomes_unk_and_a_copied_word_is_fed_back_as_unk():
    unk, mixed = 1, mixture(*draw())
    target = torch.arange(BATCH * QUERIES).view(BATCH, QUERIES) + WORDS
    reachable = torch.where(mixed.log_prob_of(target) > -torch.inf, target, unk)
    assert mixed.log_prob_of(reachable).isfinite().all()
    assert (reachable.where(reachable < WORDS, unk) < WORDS).all()


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    words, scores, gate, ids = draw()
    with pytest.raises(ValueError, match=r"source_ids go from 9 to 9; expected 0 to 7, the vocabulary and `"):
        mixture(words, scores, gate, torch.full_like(ids, 9)).log_probs(1)
    with pytest.raises(TypeError, match=r"source_ids is float64; expected whole numbers"):
        mixture(words, scores, gate, ids.double()).log_probs(1)
    with pytest.raises(ValueError, match=r"the attention returned no weights; .* need_weights=True"):
        CopyGate(4).double()(words, AttentionOutput(torch.zeros(2, 3, 6)), ids, torch.zeros(2, 3, 4).double())
    with pytest.raises(ValueError, match=r"state_dim is 0; expected a whole number"):
        PointerGenerator(3, 0, 3)


def test_it_learns_to_copy_words_that_the_vocabulary_lacks():
    places = torch.eye(KEYS).expand(64, -1, -1)
    attention, generator = LuongAttention(KEYS, KEYS), PointerGenerator(KEYS, KEYS, KEYS)
    words = torch.zeros(64, KEYS, WORDS)
    optimizer = torch.optim.Adam([*attention.parameters(), *generator.parameters()], 0.2)

    def run():
        """Say the words of the source from the last to the first; all of them lie beyond the vocabulary."""
        ids = torch.randint(WORDS, WORDS + EXTRA, (64, KEYS))
        looked = attention(places, places, need_weights=True)
        return generator(words, looked, ids, places, places), ids.flip(1)

    for _ in range(60):
        mixed, target = run()
        optimizer.zero_grad()
        (-mixed.log_prob_of(target).clamp_min(-20)).mean().backward()
        optimizer.step()
    mixed, target = run()
    assert mixed.log_probs(EXTRA).argmax(2).equal(target)
    assert (mixed.gate < 0).all()
