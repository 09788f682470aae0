"""Numbers about attention maps, against sums written out one weight at a time."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heedful.metrics.evidence import (
    attention_entropy,
    attention_flow,
    attention_rollout,
    attention_sharpness,
    attention_summary,
    effective_keys,
    gradient_times_attention,
)

COUNTS = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 7)), elements=st.integers(0, 9)
)


def distributions(counts):
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)


def entropy_by_hand(row):
    return -sum(w * math.log(w) for w in row if w > 0)


@given(COUNTS)
def test_entropy_is_the_sum_written_out(counts):
    weights = distributions(counts)
    entropy, nats = attention_entropy(weights), attention_entropy(weights, normalized=False)
    assert entropy.shape == weights.shape[:-1]
    for place in np.ndindex(entropy.shape):
        expected = entropy_by_hand(weights[place])
        assert nats[place] == pytest.approx(expected, abs=1e-12)
        keys = weights.shape[-1]
        assert entropy[place] == pytest.approx(expected / math.log(keys) if keys > 1 else 0.0, abs=1e-12)


@given(COUNTS)
def test_normalised_entropy_lies_between_none_and_all(counts):
    entropy = attention_entropy(distributions(counts))
    assert (entropy >= 0).all()
    assert (entropy <= 1 + 1e-12).all()


@given(COUNTS, st.data())
def test_hidden_keys_are_as_if_they_were_not_there(counts, data):
    weights = distributions(counts)
    keep = data.draw(hnp.arrays(np.bool_, weights.shape[-1]))
    keep[0] = True
    kept = weights[..., keep]
    hidden = np.where(keep, weights, np.nan)
    for measure in (attention_entropy, attention_sharpness, effective_keys):
        np.testing.assert_allclose(measure(hidden, mask=keep), measure(kept), atol=1e-12)


@pytest.mark.parametrize("keys", [2, 3, 5, 7])
def test_uniform_and_one_hot_rows_have_known_numbers(keys):
    rows = np.stack([np.full(keys, 1 / keys), np.eye(keys)[1], np.zeros(keys)])
    np.testing.assert_allclose(attention_entropy(rows), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(attention_entropy(rows, normalized=False), [math.log(keys), 0, 0], atol=1e-12)
    np.testing.assert_allclose(attention_sharpness(rows), [1 / keys, 1, 0])
    np.testing.assert_allclose(effective_keys(rows), [keys, 1, 0])


def test_one_visible_key_has_no_entropy():
    mask = np.array([True, False, False])
    assert attention_entropy(np.array([[1.0, 0.0, 0.0]]), mask)[0] == 0


def test_a_diagonal_is_wholly_diagonal_and_an_antidiagonal_is_not():
    for size in (1, 2, 5, 7):
        assert attention_summary(np.eye(size)).diagonality == pytest.approx(1)
    assert attention_summary(np.eye(5)[::-1]).diagonality == pytest.approx(1 - (0.8 + 0.4 + 0 + 0.4 + 0.8) / 5)


def test_the_summary_of_a_small_map_is_what_a_person_computes():
    weights = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75], [0.0, 0.0, 0.0, 0.0]])
    summary = attention_summary(weights)
    np.testing.assert_allclose(summary.coverage, [0.5, 0.5, 0.25, 0.75])
    np.testing.assert_allclose(summary.position, [0.5, 2.75, np.nan])
    np.testing.assert_allclose(summary.jumps, [2.25, np.nan])
    assert summary.sharpness == pytest.approx((0.5 + 0.625) / 2)
    second = entropy_by_hand([0.25, 0.75])
    assert summary.entropy == pytest.approx((math.log(2) + second) / 2 / math.log(4))
    assert summary.effective_keys == pytest.approx((2 + math.exp(second)) / 2)
    assert summary.hidden_mass == 0


def test_mass_on_hidden_keys_shows():
    summary = attention_summary(np.array([[0.75, 0.25], [1.0, 0.0]]), mask=np.array([True, False]))
    assert summary.hidden_mass == pytest.approx(0.125)


def test_a_map_that_looks_at_nothing_has_a_summary_too():
    summary = attention_summary(np.zeros((2, 3)))
    assert (summary.entropy, summary.sharpness, summary.effective_keys, summary.diagonality) == (0, 0, 0, 0)
    assert np.isnan(summary.position).all()


def test_wrong_input_is_named():
    weights = np.eye(3)
    with pytest.raises(ValueError, match="mask holds float64; expected booleans, True where a key may be looked at"):
        attention_entropy(weights, mask=np.ones(3))
    with pytest.raises(ValueError, match=r"mask has shape \(2,\); expected one that broadcasts to \(3, 3\)"):
        attention_entropy(weights, mask=np.ones(2, dtype=bool))
    with pytest.raises(ValueError, match="negative, NaN or infinite"):
        attention_sharpness(-weights)
    with pytest.raises(ValueError, match="weights are one number"):
        effective_keys(np.array(1.0))
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \[target_len, source_len\]"):
        attention_summary(np.ones(3))


def stack_of_layers(seed: int, layers: int = 3, places: int = 4, causal: bool = False) -> list[np.ndarray]:
    random = np.random.default_rng(seed).random((layers, places, places))
    random = np.tril(random) if causal else random
    return list(random / random.sum(axis=2, keepdims=True))


def mixed_by_hand(layer, residual=0.5):
    rows = (1 - residual) * layer + residual * np.eye(len(layer))
    return rows / rows.sum(axis=1, keepdims=True)


@given(st.integers(0, 20), st.floats(0.1, 0.9))
def test_rollout_sums_the_products_along_all_paths(seed, residual):
    layers = stack_of_layers(seed)
    first, second, third = (mixed_by_hand(layer, residual) for layer in layers)
    reached = attention_rollout(layers, residual)
    for top, below in np.ndindex(4, 4):
        paths = sum(third[top, i] * second[i, j] * first[j, below] for i in range(4) for j in range(4))
        assert reached[2][top, below] == pytest.approx(paths)
    assert reached[0] == pytest.approx(first)
    assert reached.sum(axis=2) == pytest.approx(1)


def test_rollout_of_layers_that_look_at_themselves_is_the_identity_and_causal_ones_stay_causal():
    assert attention_rollout([np.eye(3)] * 2)[-1] == pytest.approx(np.eye(3))
    assert not np.triu(attention_rollout(stack_of_layers(0, causal=True)), 1).any()
    nothing = np.array([[0.0, 0.0], [0.5, 0.5]])
    assert attention_rollout([nothing])[0] == pytest.approx(np.array([[1, 0], [0.25, 0.75]]))


def test_heads_are_averaged_first():
    heads = np.stack(stack_of_layers(1, layers=2))
    assert attention_rollout([heads]) == pytest.approx(attention_rollout([heads.mean(axis=0)]))
    assert attention_flow([heads]) == pytest.approx(attention_flow([heads.mean(axis=0)]))


@given(st.integers(0, 9))
def test_flow_through_two_layers_is_the_narrower_of_each_two_edges(seed):
    layers = stack_of_layers(seed, layers=2)
    first, second = map(mixed_by_hand, layers)
    wanted = np.array([[np.minimum(second[top], first[:, below]).sum() for below in range(4)] for top in range(4)])
    assert attention_flow(layers) == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("causal", [False, True])
def test_flow_is_the_smallest_cut(causal):
    layers = [mixed_by_hand(layer) for layer in stack_of_layers(2, layers=3, places=3, causal=causal)]

    def smallest_cut(top, below):
        """The least capacity that leaves a set of nodes with the top in it and the input outside, over all sets."""
        inner = [(level, place) for level in (1, 2) for place in range(3)]
        cuts = []
        for size in range(len(inner) + 1):
            for chosen in combinations(inner, size):
                inside = {(3, top), *chosen}
                # another place of the input leads nowhere, so that edges to it carry nothing
                cut = [
                    layers[level][i, j]
                    for level, i, j in np.ndindex(3, 3, 3)
                    if (level + 1, i) in inside and (level, j) not in inside and (level > 0 or j == below)
                ]
                cuts.append(sum(cut))
        return min(cuts)

    wanted = np.array([[smallest_cut(top, below) for below in range(3)] for top in range(3)])
    found = attention_flow([2 * layer - np.eye(3) for layer in layers])
    assert found == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True))


def test_the_gradient_of_a_linear_answer_times_its_weights_is_what_each_value_says():
    weights = torch.rand(3, 5, dtype=torch.float64).softmax(1).requires_grad_()
    value, answer = torch.randn(5, 4).double(), torch.randn(4).double()
    (slope,) = torch.autograd.grad((weights @ value @ answer)[1], weights)
    found = gradient_times_attention(weights.detach().numpy(), slope.numpy())
    assert found[1] == pytest.approx((weights[1].detach() * (value @ answer)).numpy())
    assert not found[[0, 2]].any()


def test_what_speaks_against_the_answer_is_kept_dropped_or_counted_the_same():
    weights, slopes = np.full((2, 1, 2), 0.5), np.array([[[2.0, -2.0]], [[4.0, 6.0]]])
    assert gradient_times_attention(weights, slopes).tolist() == [[1.5, 1.0]]
    assert gradient_times_attention(weights, slopes, "positive").tolist() == [[1.5, 1.5]]
    assert gradient_times_attention(weights, slopes, "absolute").tolist() == [[1.5, 2.0]]


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(
        ValueError, match=r"layer 1 has weights of shape \(2, 3\); expected \[2, 2\], with heads in front"
    ):
        attention_rollout([np.eye(2), np.ones((2, 3))])
    with pytest.raises(ValueError, match=r"there are no layers; expected at least one"):
        attention_flow([])
    with pytest.raises(
        ValueError, match=r"residual is 1.0; expected the share that goes around a layer, between 0 and 1"
    ):
        attention_rollout([np.eye(2)], residual=1.0)
    with pytest.raises(ValueError, match=r"weights have shape \(2,\) and gradients \(2,\); expected \[target_len"):
        gradient_times_attention(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r'part is "?\'?plus'):
        gradient_times_attention(np.ones((1, 2)), np.ones((1, 2)), "plus")
