"""Gates, talking heads, differences and latents: against plain multi-head attention and loops over heads."""

import math
import re

import pytest
import torch
from torch import nn

from heedful import (
    DifferentialAttention,
    DistanceAttention,
    GatedAttention,
    LatentAttention,
    MultiHeadAttention,
    TalkingHeadsAttention,
)
from heedful.attention.base import Attention
from heedful.attention.differential import first_lam
from heedful.attention.scores import ScaledDotScore
from heedful.attention.state import reorder
from heedful.attention.talking_heads import TalkingHeadsNormalizer
from heedful.attention.windows import CausalWindow, LocalPredictiveWindow, SlidingWindow
from heedful.functional import padding_mask
from tests.tolerances import assert_close

BATCH, STEPS, DIM, HEADS = 2, 5, 12, 3


def randomised(layer):
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer.double()


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


LAYERS = {
    "gate for each feature": lambda window=None: GatedAttention(DIM, HEADS, attention=inner(window)),
    "gate for each head": lambda window=None: GatedAttention(DIM, HEADS, attention=inner(window), per="head"),
    "talking": lambda window=None: TalkingHeadsAttention(DIM, HEADS, window=window),
    "distance": lambda window=None: DistanceAttention(DIM, HEADS, window),
    "difference": lambda window=None: DifferentialAttention(DIM, HEADS, layer=2, window=window),
    "latent": lambda window=None: LatentAttention(DIM, HEADS, 5, rotary_dim=2, query_latent_dim=7, window=window),
    "wide latent": lambda window=None: LatentAttention(DIM, HEADS, 5, head_dim=3, rotary_dim=2, window=window),
}
each_layer = pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)


def inner(window):
    return Attention(ScaledDotScore(DIM // HEADS), window)


@each_layer
def test_a_growing_cache_equals_one_causal_call_and_beams_may_swap(build):
    for window in (CausalWindow(), SlidingWindow(1, 0)):
        layer, text = randomised(build(window)), torch.randn(BATCH, STEPS, DIM, dtype=torch.float64)
        whole = layer(text, text, need_weights=True)
        memory, swap = layer.remember(text[:, :1]), torch.tensor([1, 0])
        state = layer.begin(memory)
        for place in range(STEPS):
            if place:
                memory = layer.extend(memory, text[:, place : place + 1])
            output, state = layer.step(text[:, place : place + 1], memory, state, need_weights=True)
            assert_close(output.context, whole.context[:, place : place + 1])
            assert_close(output.weights, whole.weights[:, :, place : place + 1, : place + 1])
            fused, _ = layer.step(text[:, place : place + 1], memory, layer.begin(memory, place))
            assert_close(fused.context, output.context)
            text, memory, state = text[swap], reorder(memory, swap), reorder(state, swap)
            whole = layer(text, text, need_weights=True)


@each_layer
def test_masks_hide_anything_and_rows_may_be_empty(build):
    layer, query = randomised(build()), draw(BATCH, 3, DIM)
    mask = padding_mask(torch.tensor([5, 3]), STEPS).repeat(1, 3, 1)
    mask[1, 2] = False
    results = []
    for filling in (0.0, math.nan, math.inf):
        hidden = ~mask.any(1).unsqueeze(-1)
        key = torch.ones(BATCH, STEPS, DIM).double().cumsum(1).masked_fill(hidden, filling).requires_grad_()
        layer.zero_grad()
        output = layer(query, key, mask=mask, need_weights=True)
        assert not output.weights.masked_select(~mask.unsqueeze(1)).any()
        assert not output.weights[1, :, 2].any()
        output.context.square().sum().backward()
        results.append(
            [output.context, key.grad, *(one.grad.clone() for one in layer.parameters() if one.grad is not None)]
        )
        assert all(one.isfinite().all() for one in results[-1])
        assert_close(layer(query, key, mask=mask).context, output.context)
        rows = mask[:, :1]
        memory = layer.remember(key, mask=rows)
        assert_close(layer.look(query, memory)[0].context, layer(query, key, mask=rows).context)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert_close(one, two)


@each_layer
def test_gradients_and_odd_sizes(build):
    layer, query, key = randomised(build()), draw(BATCH, 2, DIM), draw(BATCH, 3, DIM)
    assert torch.autograd.gradcheck(lambda query, key: layer(query, key).context, (query, key), fast_mode=True)
    for batch, queries, keys in ((0, 2, 3), (2, 0, 3), (2, 2, 0), (2, 2, 1)):
        output = layer(draw(batch, queries, DIM), draw(batch, keys, DIM), need_weights=True)
        assert output.context.shape == (batch, queries, DIM)
        assert output.context.isfinite().all()


def like(layer, **changes):
    """Plain multi-head attention with the projections of another layer."""
    plain = MultiHeadAttention(DIM, layer.num_heads, **changes).double()
    plain.load_state_dict(
        {name: value for name, value in layer.state_dict().items() if name.split(".")[0].endswith("proj")}
    )
    return plain


@pytest.mark.parametrize("per", ["feature", "head"])
def test_a_gate_of_zero_is_one_half_and_a_large_one_lets_all_through(per):
    layer, query, key = randomised(GatedAttention(DIM, HEADS, per=per)), draw(BATCH, 4, DIM).abs(), draw(BATCH, 5, DIM)
    nn.init.zeros_(layer.output_proj.bias)
    whole = like(layer)(query, key).context
    for weight, share in ((0.0, 0.5), (1e4, 1.0)):
        nn.init.constant_(layer.finish.gate.weight, weight)
        assert_close(layer(query, key).context, share * whole)


@pytest.mark.parametrize("per", ["feature", "head"])
def test_a_gate_of_the_query_stands_between_what_heads_read_and_the_last_projection(per):
    layer, query, key = randomised(GatedAttention(DIM, HEADS, per=per)), draw(BATCH, 4, DIM), draw(BATCH, 5, DIM)
    plain, size, rows = like(layer), DIM // HEADS, layer.get_parameter("finish.gate.weight")
    nn.init.eye_(plain.output_proj.weight)
    nn.init.zeros_(plain.output_proj.bias)
    read, gated = plain(query, key).context, torch.zeros(BATCH, 4, DIM, dtype=torch.float64)
    for feature in range(DIM):
        row = rows[feature if per == "feature" else feature // size]
        gated[..., feature] = read[..., feature] / (1 + torch.exp(-(query @ row)))
    assert_close(layer(query, key).context, gated @ layer.output_proj.weight.T + layer.output_proj.bias)


def test_heads_that_do_not_talk_are_plain_heads():
    layer, query, key = TalkingHeadsAttention(DIM, HEADS).double(), draw(BATCH, 4, DIM), draw(BATCH, 5, DIM)
    expected = like(layer)(query, key, need_weights=True)
    output = layer(query, key, need_weights=True)
    assert_close(output.context, expected.context)
    assert_close(output.weights, expected.weights)


def test_talking_heads_by_a_loop():
    layer, query, key = randomised(TalkingHeadsAttention(DIM, HEADS)), draw(BATCH, 4, DIM), draw(BATCH, 5, DIM)
    mask = torch.rand(BATCH, 4, 5) > 0.4
    mask[..., 0] = True
    own, size = layer.attention.normalizer, DIM // HEADS
    assert isinstance(own, TalkingHeadsNormalizer)
    q, k = layer.query_proj(query), layer.key_proj(key)
    scores = torch.stack(
        [q[..., h * size : (h + 1) * size] @ k[..., h * size : (h + 1) * size].mT / size**0.5 for h in range(HEADS)], 1
    )
    logits = [sum(own.mix_before[h, g] * scores[:, g] for g in range(HEADS)) for h in range(HEADS)]
    maps = [torch.softmax(one.masked_fill(~mask, -torch.inf), -1) for one in logits]
    mixed = [sum(own.mix_after[h, g] * maps[g] for g in range(HEADS)) for h in range(HEADS)]
    assert_close(layer(query, key, mask=mask, need_weights=True).weights, torch.stack(mixed, 1))


def test_what_is_near_gets_the_weight_whatever_both_sides_are_shifted_by():
    layer, query, key = randomised(DistanceAttention(DIM, HEADS)), draw(BATCH, 4, DIM), draw(BATCH, 5, DIM)
    size, weights = DIM // HEADS, layer(query, key, need_weights=True).weights
    for head in range(HEADS):
        rows = layer.query_proj.weight[head * size : (head + 1) * size]
        between = (query @ rows.T).unsqueeze(2) - (key @ rows.T).unsqueeze(1)
        assert_close(weights[:, head], torch.softmax(-between.square().sum(-1) / size**0.5, -1))
    assert_close(layer(query + 7, key + 7, need_weights=True).weights, weights)
    assert sum(one is layer.query_proj.weight for one in layer.parameters()) == 1


def test_differences_by_a_loop_and_their_sums():
    layer, query, key = randomised(DifferentialAttention(DIM, HEADS, layer=3)), draw(BATCH, 4, DIM), draw(BATCH, 5, DIM)
    own, half = layer.attention.normalizer, DIM // HEADS // 2
    products = [(one @ other).item() for one, other in zip(own.query_vectors, own.key_vectors, strict=True)]
    lam = math.exp(products[0]) - math.exp(products[1]) + 0.8 - 0.6 * math.exp(-0.3 * 2)
    q, k, v = layer.query_proj(query), layer.key_proj(key), layer.value_proj(key)
    contexts = []
    for head in range(HEADS):
        maps = []
        for part in (2 * head, 2 * head + 1):
            rows = slice(part * half, (part + 1) * half)
            maps.append(torch.softmax(q[..., rows] @ k[..., rows].mT / math.sqrt(half), -1))
        read = (maps[0] - lam * maps[1]) @ v[..., 2 * head * half : 2 * (head + 1) * half]
        normed = read / (read.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.finish.norm.weight
        contexts.append((1 - first_lam(3)) * normed)
    output = layer(query, key, need_weights=True)
    assert_close(output.context, torch.cat(contexts, -1) @ layer.output_proj.weight.T)
    assert_close(output.weights.sum(-1), torch.full((BATCH, 2 * HEADS, 4), 1 - lam, dtype=torch.float64))
    assert_close(own.lam, torch.tensor(lam, dtype=torch.float64))


def test_latents_by_the_formula():
    layer, query, key = randomised(LAYERS["latent"]()), draw(1, 1, DIM), draw(1, 2, DIM)

    def normed(vector, gain):
        return vector / (vector.square().mean() + torch.finfo(torch.float64).eps).sqrt() * gain

    def turned(pair, place):
        (a, b), c, s = pair, math.cos(place), math.sin(place)
        return torch.stack((a * c - b * s, a * s + b * c))

    size = DIM // HEADS
    latent_query = normed(layer.query_down.weight @ query[0, 0], layer.query_norm.weight)
    ups = (layer.query_up.weight @ latent_query).unflatten(0, (HEADS, size + 2))
    heads, weights = [], []
    for head in range(HEADS):
        rows, scores, values = slice(head * size, (head + 1) * size), [], []
        for place in range(2):
            latent = normed(layer.key_down.weight @ key[0, place], layer.key_norm.weight)
            rotated = turned(layer.key_rotary.weight @ key[0, place], place)
            content = ups[head, :size] @ (layer.key_up.weight[rows] @ latent)
            scores.append((content + turned(ups[head, size:], 0) @ rotated) / math.sqrt(size + 2))
            values.append(layer.value_up.weight[rows] @ latent)
        weights.append(torch.softmax(torch.stack(scores), 0))
        heads.append(weights[-1] @ torch.stack(values))
    output = layer(query, key, need_weights=True)
    assert_close(output.weights[0, :, 0], torch.stack(weights))
    assert_close(output.context[0, 0], layer.output_proj.weight @ torch.cat(heads))


@each_layer
def test_one_mask_for_the_whole_batch_follows_a_beam(build):
    layer, text = randomised(build()), torch.randn(BATCH, STEPS, DIM, dtype=torch.float64)
    mask = padding_mask(torch.tensor([3]), STEPS)
    memory = reorder(layer.remember(text, mask=mask), torch.tensor([1, 0, 1]))
    asked = text[[1, 0, 1], :1]
    assert_close(layer.step(asked, memory)[0].context, layer(asked, text[[1, 0, 1]], mask=mask).context)


def test_heads_that_talk_may_have_one_feature():
    assert TalkingHeadsAttention(3, 3)(torch.ones(1, 2, 3), torch.ones(1, 4, 3)).context.shape == (1, 2, 3)


def test_a_latent_memory_is_small():
    layer = LatentAttention(64, 8, latent_dim=10, rotary_dim=4)
    memory = layer.remember(torch.randn(1, 100, 64))
    assert memory.latent.numel() + memory.rotated.numel() == 100 * 14
    assert LatentAttention(64, 8, latent_dim=10).remember(torch.randn(1, 100, 64)).rotated.numel() == 100 * 64


@pytest.mark.messages
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GatedAttention(DIM, HEADS, per="row"), "per is 'row'"),
        (
            lambda: DifferentialAttention(DIM, 4),
            "num_heads is 4, of 2 parts each, which does",
        ),
        (lambda: DifferentialAttention(DIM, 3, layer=0), "layer is 0"),
        (lambda: LatentAttention(DIM, 5, 3), "num_heads is 5, which does not divide query_dim, 12; give head_dim."),
        (lambda: LatentAttention(DIM, 3, 0), "latent_dim is 0"),
        (lambda: LatentAttention(DIM, 3, 4, head_dim=0), "head_dim is 0"),
        (lambda: LatentAttention(DIM, 3, 4, window=LocalPredictiveWindow(DIM)), "window is a LocalPredictiveWindow"),
        (lambda: LatentAttention(DIM, 3, 4)(*3 * [torch.ones(2, 4, DIM)]), "value is given, but LatentAttention makes"),
        (lambda: LatentAttention(DIM, 3, 4).remember(*2 * [torch.ones(2, 4, DIM)]), "value is given, but LatentAtt"),
        (lambda: LatentAttention(DIM, 3, 4).remember(torch.ones(2, 4, 5)), "key has 5 features"),
        (lambda: LatentAttention(DIM, 3, 4, rotary_dim=3), "dim is 3; expected an even number"),
    ],
)
def test_what_does_not_fit_is_refused(build, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        build()
