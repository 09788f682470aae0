"""Pointer networks: the weights are the answer."""

import pytest
import torch
from torch import nn

from heedful import padding_mask
from heedful.attention import PointerAttention
from tests.tolerances import assert_close

BATCH, QUERIES, KEYS, DIM, HIDDEN = 2, 3, 5, 4, 7
POISONS = (torch.nan, torch.inf, -torch.inf, 1e30)


def network(glimpses: int = 0, clip: float | None = None, query_dim: int = DIM) -> PointerAttention:
    pointer = PointerAttention(query_dim, DIM, HIDDEN, glimpses, clip).double()
    for parameter in pointer.parameters():
        nn.init.normal_(parameter)
    return pointer


def draw(query_dim: int = DIM):
    query = torch.randn(BATCH, QUERIES, query_dim, dtype=torch.float64, requires_grad=True)
    return query, torch.randn(BATCH, KEYS, DIM, dtype=torch.float64, requires_grad=True)


def some_mask():
    mask = torch.rand(BATCH, QUERIES, KEYS) > 0.3
    mask[..., 2] = True
    mask[0, :, 3] = False
    mask[0, 1] = False
    return mask


def chances(score, query, keys, clip=None):
    """The paper's formula for one query, over its visible keys."""
    scores = torch.stack([score.energy @ torch.tanh(score.query_proj @ query + score.key_proj @ key) for key in keys])
    scores = scores if clip is None else clip * torch.tanh(scores)
    return scores.exp() / scores.exp().sum()


def by_loop(pointer, query, key, mask):
    found = []
    for asked, known, seen in zip(query, key, mask, strict=True):
        for one, visible in zip(asked, seen, strict=True):
            row = torch.zeros(KEYS, dtype=torch.float64)
            if visible.any():
                keys = known[visible]
                for _ in range(pointer.glimpses):
                    one = chances(pointer.glimpse.score, one, keys) @ keys
                row = row.index_put(
                    (visible.nonzero().squeeze(1),), chances(pointer.pointing.score, one, keys, pointer.clip)
                )
            found.append(row)
    return torch.stack(found).view(len(query), -1, KEYS)


@pytest.mark.parametrize(("glimpses", "clip"), [(0, None), (0, 10.0), (1, None), (3, 10.0)])
def test_it_is_the_formula_with_gradients(glimpses, clip):
    pointer, (query, key), mask = network(glimpses, clip), draw(), some_mask()
    log_probs = pointer(query, key, mask)
    wanted = by_loop(pointer, query, key, mask)
    assert_close(log_probs.exp(), wanted)
    assert log_probs.isneginf().equal(~mask)
    leaves = (query, key, *pointer.parameters())
    upstream = torch.randn(wanted[mask].shape, dtype=torch.float64)
    ours = torch.autograd.grad(log_probs[mask], leaves, upstream)
    theirs = torch.autograd.grad(wanted[mask].log(), leaves, upstream)
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other)


def test_sizes_may_differ_without_glimpses():
    pointer, (query, key) = network(query_dim=6), draw(6)
    mask = torch.ones(BATCH, QUERIES, KEYS, dtype=torch.bool)
    assert_close(pointer(query, key).exp(), by_loop(pointer, query, key, mask))


@pytest.mark.parametrize("glimpses", [0, 2])
def test_a_hidden_key_may_hold_anything_and_an_empty_row_sends_nothing_back(glimpses):
    pointer, (query, key), mask = network(glimpses, 10.0), draw(), some_mask()
    leaves = (query, key, *pointer.parameters())

    def run():
        log_probs = pointer(query, key, mask)
        return log_probs, torch.autograd.grad(log_probs.masked_fill(~mask, 0).square().sum(), leaves)

    log_probs, slopes = run()
    assert not slopes[0][0, 1].any()
    assert not slopes[1][0, 3].any()
    assert all(slope.isfinite().all() for slope in slopes)
    for poison in POISONS:
        with torch.no_grad():
            key[0, 3] = poison
        again, others = run()
        assert again.equal(log_probs)
        assert all(one.equal(other) for one, other in zip(slopes, others, strict=True))


def test_pointing_step_by_step_with_keys_remembered_is_pointing_at_once():
    pointer, (query, key) = network(2, 10.0), draw()
    mask = padding_mask(torch.tensor([5, 3]), KEYS)
    memory = pointer.remember(key, mask)
    steps = [pointer.point(query[:, step : step + 1], memory) for step in range(QUERIES)]
    assert_close(torch.cat(steps, 1).exp(), pointer(query, key, mask).exp())


def test_no_key_is_named_twice_where_visited_ones_are_hidden():
    pointer, (query, key) = network(1), draw()
    memory, visited, named = pointer.remember(key), torch.zeros(BATCH, 1, KEYS, dtype=torch.bool), []
    for _ in range(KEYS):
        best = pointer.point(query[:, :1], memory, ~visited).argmax(2, keepdim=True)
        visited = visited.scatter(2, best, value=True)
        named.append(best.squeeze())
    assert torch.stack(named, 1).sort(1).values.tolist() == [list(range(KEYS))] * BATCH


def test_a_hidden_target_costs_everything_and_no_loss_is_nan():
    pointer, (query, key), mask = network(), draw(), some_mask()
    log_probs = pointer(query, key, mask)
    assert -log_probs[0, 0, 3] == torch.inf
    assert not log_probs.isnan().any()


def test_scores_of_ten_thousand_in_half_precision_and_nothing_at_all():
    pointer = PointerAttention(DIM, DIM, HIDDEN, clip=10.0).half()
    with torch.no_grad():
        pointer.pointing.score.energy.fill_(1e4)
    log_probs = pointer(*(tensor.half() for tensor in draw()))
    assert log_probs.dtype == torch.float32
    assert log_probs.isfinite().all()
    assert network(glimpses=2).half()(*(tensor.half() for tensor in draw())).isfinite().all()
    plain = network(1)
    for batch, queries, keys in ((0, 2, 3), (2, 0, 3), (2, 2, 0)):
        query, key = (torch.zeros(batch, size, DIM, dtype=torch.float64) for size in (queries, keys))
        assert plain(query, key).shape == (batch, queries, keys)


def test_it_learns_to_sort():
    pointer = PointerAttention(1, 1, 8)
    optimizer = torch.optim.Adam(pointer.parameters(), 0.05)

    def run(numbers):
        """Log-probabilities of the next number, from the number named before, none twice."""
        ordered = numbers.argsort(1)
        before = torch.cat((numbers.new_zeros(len(numbers), 1), numbers.gather(1, ordered[:, :-1])), 1)
        rank = ordered.argsort(1)
        left = rank.unsqueeze(1) >= torch.arange(KEYS).unsqueeze(1)
        return pointer(before.unsqueeze(2), numbers.unsqueeze(2), left), ordered

    for _ in range(120):
        log_probs, ordered = run(torch.rand(64, KEYS))
        optimizer.zero_grad()
        nn.functional.nll_loss(log_probs.flatten(0, 1), ordered.flatten()).backward()
        optimizer.step()
    log_probs, ordered = run(torch.rand(50, KEYS))
    assert log_probs.argmax(2).equal(ordered)


@pytest.mark.compile
@pytest.mark.parametrize("glimpses", [0, 2])
def test_it_compiles_and_exports(glimpses):
    pointer, (query, key), mask = network(glimpses, 10.0), draw(), some_mask()
    expected = pointer(query, key, mask).exp()
    assert_close(torch.compile(pointer, backend="aot_eager", fullgraph=True)(query, key, mask).exp(), expected)
    assert_close(torch.export.export(pointer, (query, key, mask)).module()(query, key, mask).exp(), expected)


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"glimpses is -1; expected a whole number \(int\) from 0 up"):
        PointerAttention(4, 4, 7, -1)
    with pytest.raises(ValueError, match=r"clip is 0; expected a number above 0, or None"):
        PointerAttention(4, 4, 7, clip=0)
    with pytest.raises(ValueError, match=r"a query has 3 features and a key 4; a glimpse puts .* Project one"):
        PointerAttention(3, 4, 7, 1)
    pointer = PointerAttention(4, 4, 7)
    with pytest.raises(ValueError, match=r"query has 5 features; PointerAttention expected 4\."):
        pointer(torch.zeros(2, 3, 5), torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match=r"key has 5 features; AdditiveScore expected 4\."):
        pointer(torch.zeros(2, 3, 4), torch.zeros(2, 5, 5))
    with pytest.raises(ValueError, match=r"mask is float32; a mask is boolean"):
        pointer(torch.zeros(2, 3, 4), torch.zeros(2, 5, 4), torch.ones(2, 3, 5))
