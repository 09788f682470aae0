"""Every layer: how to build it, what to feed it, and its formula for one batch item in plain NumPy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.keras.running import hk

RNG = np.random.default_rng(5)
# sizes all different: batch 3, source 7, target 4
SEQUENCE = RNG.standard_normal((3, 7, 5))
SEEN = np.array([[1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]], bool)
QUERY = RNG.standard_normal((3, 4, 2))
ASKING = np.array([[1, 1, 1, 0], [0, 1, 1, 1], [1, 1, 1, 1]], bool)
SAME = RNG.standard_normal((3, 4, 5))  # queries of the keys' size
Weights = dict[str, np.ndarray]


@dataclass
class Row:
    """One layer. `formula(weights, inputs, mask)` gives output and attention weights of one batch item."""

    build: Callable[[], Any]
    inputs: Any
    mask: Any
    formula: Callable[..., tuple[np.ndarray, np.ndarray]]
    asks: bool = True  # whether `return_attention_scores` must be asked for


def softmax(scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
    weights = np.zeros_like(scores)
    if seen.any():
        exponentials = np.exp(scores[seen] - scores[seen].max())
        weights[seen] = exponentials / exponentials.sum()
    return weights


def everything(length: int, mask: Any) -> np.ndarray:
    return np.ones(length, bool) if mask is None else mask


def last_state(score: Callable[..., float]) -> Callable[..., Any]:
    """`Attention`, for the score of one step."""

    def formula(w, steps, mask):
        seen = everything(len(steps), mask)
        if not seen.any():
            return np.zeros(w["output_kernel"].shape[1]), np.zeros(len(steps))
        last = steps[np.flatnonzero(seen)[-1]]
        weights = softmax(np.array([score(w, last, step) for step in steps]), seen)
        return np.tanh(np.concatenate([weights @ steps, last]) @ w["output_kernel"]), weights

    return formula


def pair(score: Callable[..., float], window: Callable[..., Any] | None = None, causal: bool = False):
    """A layer over query and value, for the score of one query and one key."""

    def formula(w, inputs, mask):
        query, value, key = [*inputs, inputs[1]][:3]
        asking, seen = (None, None) if mask is None else mask
        asking, seen = everything(len(query), asking), everything(len(key), seen)
        rows = []
        for place, one in enumerate(query):
            visible = seen & asking[place] & ((np.arange(len(key)) <= place) if causal else True)
            inside, gain = window(w, place, one, seen) if window else (True, 1.0)
            rows.append(softmax(np.array([score(w, one, other) for other in key]), visible & inside) * gain)
        weights = np.stack(rows)
        return weights @ value, weights

    return formula


def additive(w, query, key):
    hidden = query @ w["query_kernel"] + key @ w["key_kernel"] + w.get("bias", 0)
    return w["energy"] @ np.tanh(hidden)


def sine(w, query, key):
    hidden = query @ w["query_kernel"] + key @ w["key_kernel"]
    return sum(e @ np.sin(m * hidden + b) for m, (e, b) in enumerate(zip(w["energy"], w["bias"], strict=True), 1))


def general(w, query, key):
    return query @ w["score_kernel"] @ key


def local(w, place, query, seen):
    """Luong's local-p with a half width of 2."""
    center = seen.sum() / (1 + np.exp(-(np.tanh(query @ w["place_kernel"]) @ w["place_vector"]).item()))
    places = np.cumsum(seen) - 1
    return np.abs(places - np.round(center)) <= 2, np.exp(-((places - center) ** 2) / (2 * 1.0**2))


def along(w, place, query, seen):
    """Luong's local-m with a half width of 1, kept inside."""
    return np.abs(np.cumsum(seen) - 1 - min(place, seen.sum() - 1)) <= 1, 1.0


def pooling(w, steps, mask):
    scores = np.tanh(steps @ w["kernel"] + w["bias"]) @ w["context_vector"]
    weights = softmax(scores, everything(len(steps), mask))
    return weights @ steps, weights


def hops(w, steps, mask):
    scores = np.tanh(steps @ w["inner_kernel"]) @ w["hop_kernel"]
    weights = np.stack([softmax(hop, everything(len(steps), mask)) for hop in scores.T])
    return weights @ steps, weights


def features(w, vector, mask):
    weights = softmax(vector @ w["kernel"] + w["bias"], np.ones(len(vector), bool))
    return weights * vector * len(vector), weights


def temporal(shared: bool):
    def formula(w, steps, mask):
        count, seen = len(steps), everything(len(steps), mask)
        kernel, bias = w["kernel"][:count, :count], w["bias"][:count]
        weights = np.stack([softmax(feature @ kernel + bias, seen) for feature in (steps * seen[:, None]).T], 1)
        weights = np.broadcast_to(weights.mean(1, keepdims=True), weights.shape) if shared else weights
        return weights * steps, weights

    return formula


def crossed(w, inputs, mask):
    named = {name.split("/")[-1]: value for name, value in w.items()}
    return pair(additive)(named, inputs[::-1], None if mask is None else mask[::-1])


ROWS: dict[str, Row] = {
    "luong": Row(lambda: hk.Attention(4), SEQUENCE, SEEN, last_state(lambda w, q, k: q @ (k @ w["score_kernel"]))),
    "bahdanau": Row(lambda: hk.Attention(4, "bahdanau"), SEQUENCE, SEEN, last_state(additive)),
    "dot": Row(lambda: hk.Attention(4, "dot"), SEQUENCE, SEEN, last_state(lambda w, q, k: q @ k)),
    "scaled": Row(lambda: hk.Attention(4, "scaled_dot"), SEQUENCE, SEEN, last_state(lambda w, q, k: q @ k / 5**0.5)),
    "pooling": Row(lambda: hk.AttentionPooling(6), SEQUENCE, SEEN, pooling),
    "hops": Row(lambda: hk.SelfAttentivePooling(6, 2), SEQUENCE, SEEN, hops),
    "features": Row(lambda: hk.FeatureAttention(rescale=True), SEQUENCE[:, 0], None, features),
    "temporal": Row(lambda: hk.TemporalAttention(), SEQUENCE, SEEN, temporal(False)),
    "one temporal": Row(lambda: hk.TemporalAttention(9, single_vector=True), SEQUENCE, SEEN, temporal(True)),
    "additive": Row(lambda: hk.AdditiveAttention(6), [QUERY, SEQUENCE], [ASKING, SEEN], pair(additive)),
    "additive bias": Row(
        lambda: hk.AdditiveAttention(6, use_bias=True),
        [QUERY, SEQUENCE, SEQUENCE[..., :3]],
        [None, SEEN],
        pair(additive),
    ),
    "sine": Row(lambda: hk.SineAttention(6), [QUERY, SEQUENCE], [ASKING, SEEN], pair(sine)),
    "sine harmonics": Row(
        lambda: hk.SineAttention(4, 3), [QUERY, SEQUENCE, SEQUENCE[..., :3]], [None, SEEN], pair(sine)
    ),
    "general": Row(lambda: hk.DotAttention(), [QUERY, SEQUENCE], [ASKING, SEEN], pair(general)),
    "dots": Row(lambda: hk.DotAttention("dot"), [SAME, SEQUENCE], [ASKING, None], pair(lambda w, q, k: q @ k)),
    "scaled dots": Row(
        lambda: hk.DotAttention("scaled_dot"), [SAME, SEQUENCE], [None, SEEN], pair(lambda w, q, k: q @ k / 5**0.5)
    ),
    "local-p": Row(
        lambda: hk.LuongLocalAttention(half_width=2), [QUERY, SEQUENCE], [ASKING, SEEN], pair(general, local)
    ),
    "local-m": Row(
        lambda: hk.LuongLocalAttention("monotonic", half_width=1, clamp=True),
        [QUERY, SEQUENCE],
        [ASKING, SEEN],
        pair(general, along),
    ),
    "cross": Row(lambda: hk.AttentionLayer(), [SEQUENCE, QUERY], [SEEN, ASKING], crossed, asks=False),
}
