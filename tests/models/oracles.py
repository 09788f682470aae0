"""The models once more, from their formulas: one sentence, one token, one cell at a time; no padding, no mask.

Nothing of heedful is imported: only parameters are read from the modules under test. A vector is a vector here: a state
is a list of `(h, c)` per layer, a memory is a list of vectors.
"""

import torch
from torch import Tensor

Layers = list[tuple[Tensor, Tensor]]


def cell(rnn, suffix: str, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """One update of one GRU or LSTM layer; a GRU carries its `c` along unused."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    parameters = [getattr(rnn, f"{name}_{suffix}") for name in names]
    h, c = (part[None] for part in state)
    if rnn.mode == "GRU":
        return torch.gru_cell(inputs[None], h, *parameters)[0], state[1]
    h, c = torch.lstm_cell(inputs[None], (h, c), *parameters)
    return h[0], c[0]


def stack(rnn, inputs: Tensor, state: Layers) -> tuple[Tensor, Layers]:
    """One step through every layer."""
    after = []
    for layer, before in enumerate(state):
        after.append(cell(rnn, f"l{layer}", inputs, before))
        inputs = after[-1][0]
    return inputs, after


def encode(encoder, ids: list[int]) -> tuple[list[Tensor], Tensor]:
    """Outputs of every token and the summary: last state forwards, first state backwards."""
    rnn = encoder.rnn
    inputs = [encoder.embedding.table.weight[i] for i in ids]
    zero = inputs[0].new_zeros(rnn.hidden_size)
    ways = [("", 1), ("_reverse", -1)] if rnn.bidirectional else [("", 1)]
    outputs, ends = [inputs], []
    for layer in range(rnn.num_layers):
        columns, ends = [], []
        for suffix, order in ways:
            state, column = (zero, zero), []
            for vector in outputs[-1][::order]:
                state = cell(rnn, f"l{layer}{suffix}", vector, state)
                column.append(state[0])
            columns.append(column[::order])
            ends.append(state[0])
        outputs.append([torch.cat(both) for both in zip(*columns, strict=True)])

    def merge(vector: Tensor) -> Tensor:
        half = rnn.hidden_size
        return vector[:half] + vector[half:] if encoder.sum_directions else vector

    return [merge(vector) for vector in outputs[-1]], merge(torch.cat(ends))


def look(attention, query: Tensor, memory: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Context and weights: the score's formula for each key, then a softmax written out."""
    score = attention.score
    if hasattr(score, "query_proj"):
        scores = [score.energy @ torch.tanh(score.query_proj @ query + score.key_proj @ key) for key in memory]
    else:
        scores = [query @ (score.weight @ key) for key in memory]
    powers = [torch.exp(value) for value in scores]
    weights = [power / sum(powers) for power in powers]
    return sum(weight * key for weight, key in zip(weights, memory, strict=True)), torch.stack(weights)


def first_state(bridge, summary: Tensor, layers: int) -> Layers:
    rows = torch.tanh(bridge.linear.weight @ summary + bridge.linear.bias).split(bridge.linear.out_features // layers)
    return [(row, torch.zeros_like(row)) for row in rows]


def affine(layer, *parts: Tensor) -> Tensor:
    product = layer.weight @ torch.cat(parts)
    return product if layer.bias is None else product + layer.bias


def look_then_update(decoder, tokens: list[Tensor], memory: list[Tensor], summary: Tensor):
    """c_i looks with s_{i-1}; s_i = cell([E y; c_i], s_{i-1}); tanh(W [s_i; E y; c_i])."""
    state = first_state(decoder.bridge, summary, decoder.recurrent.layers)
    for token in tokens:
        context, weights = look(decoder.attention, state[-1][0], memory)
        s, state = stack(decoder.recurrent.rnn, torch.cat((token, context)), state)
        yield torch.tanh(affine(decoder.readout, s, token, context)), weights


def update_then_look(decoder, tokens: list[Tensor], memory: list[Tensor], summary: Tensor):
    """h = cell(E y) or cell([E y; last features]); c looks with h; tanh(W [c; h])."""
    state = first_state(decoder.bridge, summary, decoder.recurrent.layers)
    features = summary.new_zeros(decoder.combine.out_features)
    for token in tokens:
        inputs = torch.cat((token, features)) if decoder.input_feeding else token
        h, state = stack(decoder.recurrent.rnn, inputs, state)
        context, weights = look(decoder.attention, h, memory)
        features = torch.tanh(decoder.combine.weight @ torch.cat((context, h)))
        yield features, weights


def look_between(decoder, tokens: list[Tensor], memory: list[Tensor], summary: Tensor):
    """q = lower(E y); c looks with q; s = upper([q; c]); tanh(W [s; E y; c])."""
    lower = first_state(decoder.lower_bridge, summary, decoder.lower.layers)
    upper = first_state(decoder.upper_bridge, summary, decoder.upper.layers)
    for token in tokens:
        query, lower = stack(decoder.lower.rnn, token, lower)
        context, weights = look(decoder.attention, query, memory)
        s, upper = stack(decoder.upper.rnn, torch.cat((query, context)), upper)
        yield torch.tanh(affine(decoder.readout, s, token, context)), weights


def plain(decoder, tokens: list[Tensor], memory: list[Tensor], summary: Tensor):
    """s = cell(E y); tanh(W [s; E y]); the memory is not there."""
    state = first_state(decoder.bridge, summary, decoder.recurrent.layers)
    for token in tokens:
        s, state = stack(decoder.recurrent.rnn, token, state)
        yield torch.tanh(affine(decoder.readout, s, token)), None


DECODERS = {
    "look then update": look_then_update,
    "update then look": update_then_look,
    "input feeding": update_then_look,
    "look between": look_between,
    "plain": plain,
}


def logits_and_weights(model, wiring: str, source: list[int], target: list[int]) -> tuple[Tensor, list[Tensor | None]]:
    """Logits `[steps, vocab]` of one sentence and what each step looked at."""
    memory, summary = encode(model.encoder, source)
    table, output = model.embedding.table.weight, model.output
    logits, looks = [], []
    for features, weights in DECODERS[wiring](model.decoder, [table[i] for i in target], memory, summary):
        projected = features if isinstance(output.project, torch.nn.Identity) else output.project.weight @ features
        logits.append(output.weight @ projected + output.bias)
        looks.append(weights)
    return torch.stack(logits), looks
