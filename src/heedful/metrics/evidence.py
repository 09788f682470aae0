"""Attention weights in numbers: entropy, sharpness, coverage, diagonality; rollout, gradients and erasure.

Weights are arrays `[..., target_len, source_len]`, rows distributions over the source (or zeros: looked at nothing).
Masks are boolean and broadcast to the weights; True means "may look".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .alignment import check_weights


def attention_entropy(
    weights: np.ndarray, mask: np.ndarray | None = None, normalized: bool = True
) -> Float[np.ndarray, "..."]:
    """Entropy of each row, -sum w ln w with 0 ln 0 = 0; [..., target_len, source_len] to [..., target_len].

    Normalised it is divided by ln(visible keys) and lies in [0, 1]: 0 looks at one key, 1 at all alike; with one
    visible key it is 0. Otherwise it is in nats. Weights on hidden keys count as zero.

    >>> attention_entropy(np.array([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]))
    array([0., 1.])
    """
    weights, mask = _visible(weights, mask)
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    # 0 - x, for -x would give the one-hot row a negative zero
    entropy = 0.0 - (weights * logs).sum(axis=-1)
    if not normalized:
        return entropy
    count = mask.sum(axis=-1)
    return np.divide(entropy, np.log(np.maximum(count, 2)), out=np.zeros_like(entropy), where=count > 1)


def attention_sharpness(weights: np.ndarray, mask: np.ndarray | None = None) -> Float[np.ndarray, "..."]:
    """Sum of squared weights of each row: 1 looks at one key, 1/n at n keys alike; [..., target_len].

    >>> attention_sharpness(np.array([[1.0, 0.0], [0.5, 0.5]]))
    array([1. , 0.5])
    """
    weights, _ = _visible(weights, mask)
    return (weights**2).sum(axis=-1)


def effective_keys(weights: np.ndarray, mask: np.ndarray | None = None) -> Float[np.ndarray, "..."]:
    """At how many keys each row really looks: exp(entropy in nats), 0 for a row of zeros; [..., target_len].

    >>> effective_keys(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])).round(6)
    array([2., 1.])
    """
    visible, _ = _visible(weights, mask)
    return np.where(visible.sum(axis=-1) > 0, np.exp(attention_entropy(weights, mask, normalized=False)), 0.0)


@dataclass(frozen=True, eq=False)
class AttentionSummary:
    """One sentence's attention described; means are over the rows that look at something.

    entropy: mean normalised entropy, 0 (one key) to 1 (all keys alike)
    sharpness: mean sum of squared weights
    effective_keys: mean of exp(entropy)
    diagonality: 1 minus the mean distance of the weights from the diagonal, in sentence lengths; 1 is a diagonal
    hidden_mass: share of the weight that lies on hidden keys; anything but 0 is a bug
    coverage: how much each source key was read in total, [source_len]
    position: the expected source position of each row, [target_len], NaN for a row of zeros
    jumps: by how many keys it moves from one row to the next, [target_len - 1]
    """

    entropy: float
    sharpness: float
    effective_keys: float
    diagonality: float
    hidden_mass: float
    coverage: Float[np.ndarray, "source_len"]
    position: Float[np.ndarray, "target_len"]
    jumps: Float[np.ndarray, "target_len-1"]


def attention_summary(weights: np.ndarray, mask: np.ndarray | None = None) -> AttentionSummary:
    """Describe the weights [target_len, source_len] of one sentence in numbers.

    Source: heedful: metrics/evidence.py, 2026, function attention_summary.

    Cost: time queries * keys; memory queries * keys.

    >>> summary = attention_summary(np.eye(4))
    >>> summary.diagonality, summary.effective_keys, summary.jumps.tolist()
    (1.0, 1.0, [1.0, 1.0, 1.0])
    """
    weights = check_weights(weights)
    visible, _ = _visible(weights, mask)
    mass = visible.sum(axis=-1)
    rows = mass > 0
    total = weights.sum()
    keys = np.arange(weights.shape[1])
    position = np.divide(visible @ keys, mass, out=np.full(len(mass), np.nan), where=rows)
    return AttentionSummary(
        entropy=_mean(attention_entropy(weights, mask)[rows]),
        sharpness=_mean(attention_sharpness(weights, mask)[rows]),
        effective_keys=_mean(effective_keys(weights, mask)[rows]),
        diagonality=_diagonality(visible),
        hidden_mass=float((total - visible.sum()) / total) if total > 0 else 0.0,
        coverage=visible.sum(axis=0),
        position=position,
        jumps=np.diff(position),
    )


def attention_rollout(layers: Sequence[np.ndarray], residual: float = 0.5) -> Float[np.ndarray, "layers places places"]:
    """How much each place of each layer draws on the input, by products (Abnar and Zuidema 2020, section 3).

    `(1 - residual) A + residual I`, rows divided by their sums, each layer multiplied from the left; the last matrix is
    that of the top layer. For self-attention; cross-attention is a chain of its own.

    layers: weights [places, places] or [heads, places, places], whose mean is taken, from the lowest layer up

    Source: Abnar and Zuidema: Quantifying Attention Flow in Transformers, 2020, section 3.

    Cost: time layers * places^3; memory layers * places^2.

    >>> attention_rollout([np.array([[1.0, 0.0], [1.0, 0.0]])] * 2)[-1]
    array([[1.  , 0.  ],
           [0.75, 0.25]])
    """
    mixed, reached = _with_residual(layers, residual), []
    for layer in mixed:
        reached.append(layer if not reached else layer @ reached[-1])
    return np.array(reached)


def attention_flow(layers: Sequence[np.ndarray], residual: float = 0.5) -> Float[np.ndarray, "places places"]:
    """The largest flow from each place of the top layer to each place of the input (Abnar and Zuidema 2020, section 3).

    Weights are capacities, as `attention_rollout` mixes them; rows are divided by their sums at the end. Every pair is
    a search of its own: for short texts.

    layers: weights [places, places] or [heads, places, places], whose mean is taken, from the lowest layer up

    Source: Abnar and Zuidema: Quantifying Attention Flow in Transformers, 2020, section 3.

    Cost: time places^2 maximum flows; memory layers * places^2.

    >>> attention_flow([np.eye(2)] * 3)
    array([[1., 0.],
           [0., 1.]])
    """
    import networkx

    mixed = _with_residual(layers, residual)
    graph, (places, _) = networkx.DiGraph(), mixed[0].shape
    graph.add_nodes_from((level, place) for level in (0, len(mixed)) for place in range(places))
    for level, layer in enumerate(mixed):
        for top, below in np.argwhere(layer > 0).tolist():
            graph.add_edge((level + 1, top), (level, below), capacity=layer[top, below])
    pairs = [[((len(mixed), top), (0, below)) for below in range(places)] for top in range(places)]
    flow = np.array([[networkx.maximum_flow_value(graph, *pair) for pair in row] for row in pairs])
    return flow / flow.sum(axis=1, keepdims=True)


def gradient_times_attention(
    weights: np.ndarray, gradients: np.ndarray, part: str = "signed"
) -> Float[np.ndarray, "target_len source_len"]:
    """`w * d logit / d w`, what each weight adds to an answer (Serrano and Smith 2019); the mean over heads.

    The gradient is that of one logit by the weights, so these must be in the graph: compute the context as
    `weights @ value` from `output.weights`, for fused attention does not read the weights that it returns.

    weights, gradients: [target_len, source_len] or [heads, target_len, source_len]
    part: "signed"; "positive" drops, before the mean, what speaks against the answer; "absolute" counts it the same

    Source: Serrano and Smith: Is Attention Interpretable?, 2019, section on gradient-based rankings.

    Cost: time heads * queries * keys; memory heads * queries * keys.

    >>> gradient_times_attention(np.array([[0.5, 0.5]]), np.array([[2.0, -4.0]]), "positive")
    array([[1., 0.]])
    """
    weights, gradients = (np.asarray(array, dtype=np.float64) for array in (weights, gradients))
    if weights.shape != gradients.shape or weights.ndim not in (2, 3):
        raise ValueError(
            f"weights have shape {weights.shape} and gradients {gradients.shape}; expected [target_len, source_len] or "
            "[heads, target_len, source_len], the same for both"
        )
    parts = {"signed": lambda product: product, "positive": lambda product: product.clip(min=0), "absolute": np.abs}
    if part not in parts:
        raise ValueError(f'part is {part!r}; choose "signed", "positive" or "absolute"')
    evidence = parts[part](weights * gradients)
    return evidence.mean(axis=0) if evidence.ndim == 3 else evidence


def _with_residual(layers: Sequence[np.ndarray], residual: float) -> list[np.ndarray]:
    """Each layer's weights, heads averaged, mixed with the way around it, rows summing to 1."""
    if not 0 < residual < 1:
        raise ValueError(f"residual is {residual}; expected the share that goes around a layer, between 0 and 1")
    if len(layers) == 0:
        raise ValueError("there are no layers; expected at least one")
    mixed = []
    for level, layer in enumerate(layers):
        layer, _ = _visible(layer, None)
        layer = layer.mean(axis=0) if layer.ndim == 3 else layer
        places = np.shape(mixed[0])[0] if mixed else len(layer)
        if layer.shape != (places, places):
            raise ValueError(
                f"layer {level} has weights of shape {np.shape(layers[level])}; expected [{places}, {places}], with "
                "heads in front or without: these are for self-attention"
            )
        layer = (1 - residual) * layer + residual * np.eye(places)
        mixed.append(layer / layer.sum(axis=1, keepdims=True))
    return mixed


def _diagonality(weights: np.ndarray) -> float:
    target_len, source_len = weights.shape
    # centres of the cells, so that a square diagonal and any single row or key are measured alike
    source = (np.arange(source_len) + 0.5) / source_len
    target = (np.arange(target_len) + 0.5) / target_len
    total = weights.sum()
    distance = np.abs(target[:, None] - source[None, :])
    return float(1 - (weights * distance).sum() / total) if total > 0 else 0.0


def _visible(weights: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The weights as float64 with hidden keys at zero, and the mask in their shape."""
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim < 1:
        raise ValueError("weights are one number; expected [..., target_len, source_len]")
    if mask is None:
        mask = np.ones(weights.shape, dtype=bool)
    if mask.dtype != np.bool_:
        raise ValueError(f"mask holds {mask.dtype}; expected booleans, True where a key may be looked at")
    try:
        mask = np.broadcast_to(mask, weights.shape)
    except ValueError:
        raise ValueError(f"mask has shape {mask.shape}; expected one that broadcasts to {weights.shape}") from None
    weights = np.where(mask, weights, 0.0)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights on visible keys are negative, NaN or infinite; expected numbers from 0 up")
    return weights, mask


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
