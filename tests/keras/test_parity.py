"""The Keras layers and their PyTorch twins, with copied weights: the same values and the same gradients."""

import numpy as np
import pytest
import torch

import heedful
from heedful import models
from heedful.attention import AttentionPooling
from heedful.attention.features import FeatureAttention, FeatureTemporalAttention
from heedful.attention.last_state import LastStateAttention
from heedful.attention.scores import AdditiveScore, DotScore
from heedful.attention.structured import StructuredSelfAttention
from heedful.layers import Recurrent
from tests.keras.rows import ROWS, SEEN, SEQUENCE
from tests.keras.running import flows_of, hk, keras, run

SINE = {
    "query_kernel": "score.query_proj",
    "key_kernel": "score.key_proj",
    "bias": "score.bias",
    "energy": "score.energy",
}
# row -> the twin, and the names of its parameters for those of the layer; all matrices are turned but these
TWINS = {
    "luong": (lambda: LastStateAttention(5, 4), {"score_kernel": "query_proj", "output_kernel": "output_proj"}),
    "bahdanau": (
        lambda: LastStateAttention(5, 4, "bahdanau"),
        {
            "query_kernel": "attention.score.query_proj",
            "key_kernel": "attention.score.key_proj",
            "energy": "attention.score.energy",
            "output_kernel": "output_proj",
        },
    ),
    "dot": (lambda: LastStateAttention(5, 4, "dot"), {"output_kernel": "output_proj"}),
    "scaled": (lambda: LastStateAttention(5, 4, "scaled_dot"), {"output_kernel": "output_proj"}),
    "pooling": (
        lambda: AttentionPooling(5, 6),
        {"kernel": "weight", "bias": "bias", "context_vector": "context_vector"},
    ),
    "hops": (lambda: StructuredSelfAttention(5, 6, 2), {"inner_kernel": "inner_proj", "hop_kernel": "hop_proj"}),
    "features": (lambda: FeatureAttention(5, rescale=True), {"kernel": "weight", "bias": "bias"}),
    "temporal": (lambda: FeatureTemporalAttention(7), {"kernel": "weight", "bias": "bias"}),
    "one temporal": (lambda: FeatureTemporalAttention(9, shared=True), {"kernel": "weight", "bias": "bias"}),
    "additive": (
        lambda: heedful.BahdanauAttention(2, 5, 6),
        {"query_kernel": "score.query_proj", "key_kernel": "score.key_proj", "energy": "score.energy"},
    ),
    "additive bias": (
        lambda: heedful.Attention(AdditiveScore(2, 3, 6, bias=True)),
        {
            "query_kernel": "score.query_proj",
            "key_kernel": "score.key_proj",
            "bias": "score.bias",
            "energy": "score.energy",
        },
    ),
    "sine": (lambda: heedful.SineAttention(2, 5, 6), SINE),
    "sine harmonics": (lambda: heedful.SineAttention(2, 3, 4, harmonics=3), SINE),
    "general": (lambda: heedful.LuongAttention(2, 5), {"score_kernel": "score.weight"}),
    "dots": (lambda: heedful.LuongAttention(5, 5, "dot"), {}),
    "scaled dots": (lambda: heedful.LuongAttention(5, 5, "scaled_dot"), {}),
    "cross": (
        lambda: heedful.BahdanauAttention(2, 5, 5),
        {
            "additive/query_kernel": "score.query_proj",
            "additive/key_kernel": "score.key_proj",
            "additive/energy": "score.energy",
        },
    ),
}
# of one layout on both sides
AS_THEY_STAND = {"score.weight", "score.bias", "score.energy"}


def copy_weights(layer, twin, names, inputs):
    """Of the twin into the layer."""
    layer.build(keras.tree.map_structure(lambda array: array.shape, inputs))
    of_twin = {name: parameter.detach().numpy() for name, parameter in twin.named_parameters()}
    for weight in layer.weights:
        name = names[weight.path.split("/", 1)[-1]]
        array = of_twin.pop(name)
        weight.assign(array if name in AS_THEY_STAND else array.T)
    assert not of_twin


def asked(twin, name, inputs, mask):
    """Outputs of the twin: output and weights."""
    if not isinstance(inputs, list):
        return tuple(twin(inputs, need_weights=True) if mask is None else twin(inputs, mask, need_weights=True))
    query, value, key = [*inputs, inputs[1]][:3] if name != "cross" else [inputs[1], inputs[0], inputs[0]]
    query_mask, value_mask = mask if name != "cross" else mask[::-1]
    seen = torch.ones(3, query.shape[1], value.shape[1], dtype=torch.bool)
    seen = seen if query_mask is None else seen & query_mask[:, :, None]
    seen = seen if value_mask is None else seen & value_mask[:, None]
    return tuple(twin(query, key, value, mask=seen, need_weights=True))


@pytest.mark.parametrize("name", TWINS)
def test_it_is_its_twin(name):
    row, (build, names) = ROWS[name], TWINS[name]
    layer, twin = row.build(), build().double()
    copy_weights(layer, twin, names, row.inputs)
    call = {} if row.mask is None else {"mask": row.mask}
    call = {**call, "return_attention_scores": True} if row.asks else call
    outputs, of_inputs, of_weights = run(layer, row.inputs, **call)

    tensors = [torch.tensor(array, requires_grad=True) for array in keras.tree.flatten(row.inputs)]
    mask = row.mask
    if mask is not None:
        parts = [None if part is None else torch.tensor(part) for part in (mask if isinstance(mask, list) else [mask])]
        mask = parts if isinstance(mask, list) else parts[0]
    wanted = asked(twin, name, tensors if isinstance(row.inputs, list) else tensors[0], mask)
    total = sum((out * torch.tensor(flow)).sum() for out, flow in zip(wanted, flows_of(outputs), strict=True))
    parameters = dict(twin.named_parameters())
    grads = torch.autograd.grad(total, [*tensors, *parameters.values()], allow_unused=True)
    for found, tensor in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(found, tensor.detach().numpy(), atol=1e-11)
    for found, grad in zip(of_inputs, grads, strict=False):
        np.testing.assert_allclose(found, grad.numpy(), atol=1e-11)
    of_twin = dict(zip(parameters, grads[len(tensors) :], strict=True))
    for own, other in names.items():
        array = of_twin[other].numpy()
        np.testing.assert_allclose(of_weights[own], array if other in AS_THEY_STAND else array.T, atol=1e-11)


def test_dot_and_additive_attention_are_those_of_keras_itself():
    """Keras' own additive layer has no projections: here they are identities, and every energy is 1."""
    seen = SEEN.copy()
    seen[:, 0] = True
    additive = AdditiveScore(5, 5, 5).double()
    for parameter in (additive.query_proj, additive.key_proj):
        torch.nn.init.eye_(parameter)
    torch.nn.init.ones_(additive.energy)
    for theirs, score in (
        (keras.layers.Attention(use_scale=False, score_mode="dot"), DotScore(5)),
        (keras.layers.AdditiveAttention(use_scale=False), additive),
    ):
        inputs = [SEQUENCE[:, :2], SEQUENCE]
        outputs, of_inputs, _ = run(theirs, inputs, mask=[None, seen], return_attention_scores=True)
        tensors = [torch.tensor(array, requires_grad=True) for array in inputs]
        wanted = tuple(heedful.Attention(score)(*tensors, mask=torch.tensor(seen).unsqueeze(1), need_weights=True))
        total = sum((out * torch.tensor(flow)).sum() for out, flow in zip(wanted, flows_of(outputs), strict=True))
        for found, tensor in zip(outputs, wanted, strict=True):
            np.testing.assert_allclose(found, tensor.detach().numpy(), atol=1e-11)
        for found, grad in zip(of_inputs, torch.autograd.grad(total, tensors), strict=True):
            np.testing.assert_allclose(found, grad.numpy(), atol=1e-11)


TOKENS = np.array([[1, 4, 5, 2], [1, 3, 0, 0], [1, 6, 2, 0]])
SUMMARY = np.random.default_rng(8).standard_normal((3, 5))


def gates(weight, cell):
    """A torch weight's gates in the order of Keras."""
    parts = np.split(weight, 3 if cell == "gru" else 4)
    order = (1, 0, 2) if cell == "gru" else (0, 1, 2, 3)
    return np.concatenate([parts[place] for place in order])


def copy_decoder(layer, twin, embedding, readout, cell):
    """Weights of a torch decoder, and of what stands around it."""
    rnn = {name: gates(value.detach().numpy(), cell) for name, value in twin.recurrent.rnn.named_parameters()}
    inner, outer = rnn["bias_ih_l0"], rnn["bias_hh_l0"]
    bias = np.stack([inner, outer]) if cell == "gru" else inner + outer
    layer.embedding.set_weights([embedding])
    layer.recurrent.cell.set_weights([rnn["weight_ih_l0"].T, rnn["weight_hh_l0"].T, bias])
    layer.bridge.set_weights([twin.bridge.linear.weight.detach().numpy().T, twin.bridge.linear.bias.detach().numpy()])
    read = getattr(twin, "combine", None) or twin.readout
    arrays = [read.weight.detach().numpy().T] + ([] if read.bias is None else [read.bias.detach().numpy()])
    layer.combine.set_weights(arrays)
    layer.readout.set_weights([readout, np.zeros(readout.shape[1])])
    score = twin.attention.score
    own = [score.query_proj.T, score.key_proj.T, score.energy] if isinstance(score, AdditiveScore) else [score.weight]
    layer.attention.set_weights([weight.detach().numpy() for weight in own])


@pytest.mark.parametrize(
    ("wiring", "feeding", "cell"),
    [("bahdanau", False, "gru"), ("luong", True, "lstm"), ("luong", False, "gru")],
)
def test_a_decoder_is_its_twin(wiring, feeding, cell):
    units, embedded, features = 6, 3, 5
    attention = hk.AdditiveAttention(4) if wiring == "bahdanau" else hk.DotAttention()
    layer = hk.AttentionDecoder(9, embedded, units, attention, wiring, feeding, cell)
    layer.build([TOKENS.shape, SEQUENCE.shape, SUMMARY.shape])
    extra = features if wiring == "bahdanau" else units if feeding else 0
    recurrent = Recurrent(cell, embedded + extra, units)
    sizes = {"context_dim": features, "summary_dim": 5, "output_dim": units}
    if wiring == "bahdanau":
        look = heedful.BahdanauAttention(units, features, 4)
        twin = models.decoders.LookThenUpdateDecoder(look, recurrent, embedded, **sizes)
    else:
        look = heedful.LuongAttention(units, features)
        twin = models.decoders.UpdateThenLookDecoder(look, recurrent, input_feeding=feeding, **sizes)
    twin = twin.double()
    rng = np.random.default_rng(3)
    embedding, readout = rng.standard_normal((9, embedded)), rng.standard_normal((units, 9))
    copy_decoder(layer, twin, embedding, readout, cell)

    mask = SEEN.copy()
    mask[2, :3] = True
    given = [SEQUENCE, SUMMARY]
    tensors = [torch.tensor(array, requires_grad=True) for array in given]
    said = models.encoders.EncoderOutput(*tensors)
    encoded = twin.remember(said, mask=torch.tensor(mask).unsqueeze(1))
    output = twin(torch.tensor(embedding)[TOKENS], twin.start(encoded), encoded, need_weights=True)
    wanted = output.features @ torch.tensor(readout), output.weights
    outputs, of_inputs, _ = run(layer, [TOKENS, *given], mask=[None, mask, None], return_attention_scores=True)
    for found, tensor in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(found, tensor.detach().numpy(), atol=1e-11)
    total = sum((out * torch.tensor(flow)).sum() for out, flow in zip(wanted, flows_of(outputs), strict=True))
    for found, grad in zip(of_inputs, torch.autograd.grad(total, tensors), strict=True):
        np.testing.assert_allclose(found, grad.numpy(), atol=1e-11)

    # and one step after the other, as it translates
    memory, state = layer.start(*(keras.ops.convert_to_tensor(array) for array in (SEQUENCE, mask, SUMMARY)))
    for place in range(TOKENS.shape[1]):
        logits, state, weights = layer.step(keras.ops.convert_to_tensor(TOKENS[:, place]), memory, state)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(logits), outputs[0][:, place], atol=1e-12)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weights), outputs[1][:, place], atol=1e-12)
