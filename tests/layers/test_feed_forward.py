"""Position-wise layers against their formulas."""

import pytest
import torch
from torch import nn

from heedful.layers import FeedForward, StochasticDepth
from tests.tolerances import assert_close


def test_relu_and_gelu_are_those_of_a_layer_of_torch():
    for activation in ("relu", "gelu"):
        theirs = nn.TransformerEncoderLayer(6, 1, 11, 0.0, activation, dtype=torch.float64)
        ours = FeedForward(6, 11, activation).double()
        ours.inner.load_state_dict(theirs.linear1.state_dict())
        ours.outer.load_state_dict(theirs.linear2.state_dict())
        steps = torch.randn(2, 3, 6, dtype=torch.float64)
        assert_close(ours(steps), theirs._ff_block(steps))


def test_swiglu_is_a_product_of_a_gate_and_a_content():
    layer = FeedForward(3, 5, "swiglu").double()
    step = torch.randn(3, dtype=torch.float64)
    gate = layer.inner.weight[:5] @ step + layer.inner.bias[:5]
    content = layer.inner.weight[5:] @ step + layer.inner.bias[5:]
    expected = layer.outer.weight @ (gate / (1 + torch.exp(-gate)) * content) + layer.outer.bias
    assert_close(layer(step), expected)
    assert FeedForward(3, 5, "swiglu", bias=False).inner.bias is None


@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_gradients_and_no_steps(activation):
    layer = FeedForward(3, 5, activation).double()
    steps = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda steps, *_: layer(steps), (steps, *layer.parameters()))
    assert layer(steps[:, :0]).shape == (2, 0, 3)


def test_dropout_falls_on_the_hidden_features_in_training_alone():
    layer = FeedForward(3, 5, dropout=0.5)
    with torch.no_grad():
        layer.inner.weight.fill_(1)
        layer.inner.bias.fill_(0)
    steps = torch.ones(1000, 3)
    before = layer.outer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    seen: list[torch.Tensor] = []
    layer(steps)
    layer.eval()(steps)
    before.remove()
    assert set(seen[0].unique().tolist()) == {0.0, 6.0}
    assert seen[1].unique().tolist() == [3.0]


def test_a_dropped_branch_is_gone_whole_and_the_mean_stays():
    layer, branch = StochasticDepth(0.25), torch.ones(20_000, 2, 3, dtype=torch.float64)
    kept = layer(branch)
    assert set(kept.unique().tolist()) == {0.0, 1 / 0.75}
    assert kept.flatten(1).std(1).max() == 0
    assert abs(kept.mean().item() - 1) < 0.02
    assert layer.eval()(branch) is branch
    assert StochasticDepth(0.0)(branch) is branch


def test_infinity_in_a_dropped_branch_does_no_harm():
    torch.manual_seed(1)
    branch = torch.full((50, 2), torch.inf, requires_grad=True)
    kept = StochasticDepth(0.5)(branch)
    assert (kept == 0).any()
    assert not kept.isnan().any()
    kept.sum().backward()
    assert branch.grad is not None
    assert branch.grad.isfinite().all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FeedForward(0, 3), "dim is 0; expected a whole number"),
        (lambda: FeedForward(3, -1), "hidden_dim is -1; expected a whole number"),
        (lambda: FeedForward(3, 4, dropout=1.0), r"dropout is 1\.0; expected a share of the hidden features"),
        (lambda: StochasticDepth(1.0), r"rate is 1\.0; expected a share of the batch items"),
    ],
)
def test_messages(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.messages
def test_an_unknown_activation():
    with pytest.raises(ValueError, match="activation is 'tanh'; expected one of 'relu', 'gelu', 'swiglu'"):
        FeedForward(3, 4, "tanh")
