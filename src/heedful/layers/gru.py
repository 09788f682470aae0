"""A GRU layer as one node of the graph: torch's equations (Cho et al. 2014; the reset gate after the product).

r = sigmoid(W_r x + U_r h), z = sigmoid(W_z x + U_z h), n = tanh(W_n x + r (U_n h)), h' = n + z (h - n), each product
with its bias. The gradients of the weights are taken once for all steps, not step by step.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from heedful.functional import linear, onednn_product, suits_onednn


def suits_gru(rnn: nn.RNNBase, inputs: Tensor) -> bool:
    """Whether `gru` is faster than torch's own: a GRU of one layer whose product of a step is large."""
    plain = isinstance(rnn, nn.GRU) and rnn.num_layers == 1 and inputs.shape[1] > 0
    return plain and suits_onednn(inputs.shape[0], rnn.all_weights[0][1], inputs)


def gru(
    rnn: nn.RNNBase,
    inputs: Float[Tensor, "batch steps input_dim"],
    hidden: Float[Tensor, "batch units"],
    active: Sequence[int] | None = None,
    backwards: bool = False,
) -> tuple[Float[Tensor, "batch steps units"], Float[Tensor, "batch units"]]:
    """Outputs and last state of one direction of a GRU's first layer.

    Args:
        rnn: the GRU that holds the weights.
        inputs: `[batch, steps, input_dim]`, longest sentences first.
        hidden: `[batch, units]`, the first state.
        active: how many sentences reach each step; all when left out. Outputs behind the end are zeros.
        backwards: from the last step to the first, by the weights of that direction.

    >>> rnn = nn.GRU(3, 5, batch_first=True)
    >>> gru(rnn, torch.ones(2, 7, 3), torch.zeros(2, 5))[0].shape
    torch.Size([2, 7, 5])
    """
    weight_ih, weight_hh, bias_ih, bias_hh = rnn.all_weights[backwards]
    gates = linear(inputs.transpose(0, 1), weight_ih, bias_ih)
    order = [*enumerate(active or [inputs.shape[0]] * inputs.shape[1])]
    steps = tuple(reversed(order) if backwards else order)
    outputs, last = _GRU.apply(gates, hidden, weight_hh, bias_hh, steps)  # pyright: ignore[reportGeneralTypeIssues]
    return outputs.transpose(0, 1), last


class _GRU(torch.autograd.Function):
    """`gates [steps, batch, 3 units]`: the products with the inputs. `steps`: places with their active sentences."""

    @staticmethod
    def forward(ctx, gates, hidden, weight, bias, steps):
        length, batch, units = *gates.shape[:2], hidden.shape[1]
        outputs, before = gates.new_zeros(length, batch, units), gates.new_zeros(length, batch, units)
        kept = gates.new_empty(length, batch, 4 * units)
        state = hidden.clone()
        for step, rows in steps:
            own = kept[step, :rows]
            new, last = own[:, 2 * units : 3 * units], state[:rows]
            before[step, :rows] = last
            product = onednn_product(last, weight, bias)
            torch.add(gates[step, :rows, : 2 * units], product[:, : 2 * units], out=own[:, : 2 * units]).sigmoid_()
            own[:, 3 * units :] = product[:, 2 * units :]
            torch.addcmul(gates[step, :rows, 2 * units :], own[:, :units], product[:, 2 * units :], out=new).tanh_()
            outputs[step, :rows] = torch.lerp(new, last, own[:, units : 2 * units])
            state[:rows] = outputs[step, :rows]
        ctx.save_for_backward(weight, before, kept)
        ctx.steps = steps
        return outputs, state

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_outputs, grad_state):
        weight, before, kept = ctx.saved_tensors
        length, batch, units = before.shape
        grad_gates, grad_products = before.new_zeros(2, length, batch, 3 * units)
        grad_state = grad_state.clone()
        for step, rows in reversed(ctx.steps):
            reset, update, new, product = kept[step, :rows].split(units, -1)
            flow = grad_state[:rows] + grad_outputs[step, :rows]
            inner = flow * (1 - update) * (1 - new * new)
            own, hidden = grad_gates[step, :rows], grad_products[step, :rows]
            own[:, :units] = inner * product * reset * (1 - reset)
            own[:, units : 2 * units] = flow * (before[step, :rows] - new) * update * (1 - update)
            own[:, 2 * units :] = inner
            hidden[:, : 2 * units] = own[:, : 2 * units]
            torch.mul(inner, reset, out=hidden[:, 2 * units :])
            grad_state[:rows] = torch.addcmul(onednn_product(hidden, weight.t()), flow, update)
        flat = grad_products.flatten(0, 1)
        grad_weight = onednn_product(flat.t(), before.flatten(0, 1).t())
        return grad_gates, grad_state, grad_weight, flat.sum(0), None
