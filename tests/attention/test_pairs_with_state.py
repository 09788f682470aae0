"""Parts that know earlier queries beside every other part: each pair of score, window and normaliser at least once.

What each computes stands in its own file; here masks, empty rows, NaN in padding, finite gradients, one call or step
after step, and hypotheses that change places.
"""

import inspect
from types import ModuleType

import pytest
import torch

from heedful.attention import Attention, normalizers, scores, windows
from heedful.attention.normalizers import ForwardTransitionNormalizer, Normalizer
from heedful.attention.scores import (
    CoverageScore,
    DotScore,
    PairedScore,
    PerHeadScore,
    Score,
    SoftcapScore,
    TransitionScore,
)
from heedful.attention.state import reorder
from heedful.attention.windows import (
    AndWindow,
    AttentionWindow,
    CausalWindow,
    LocalPredictiveWindow,
    OrWindow,
    ScoreBias,
    Window,
)
from tests.attention.rows import BATCH, KEYS, QUERIES, VALUE_DIM, exported
from tests.tolerances import assert_close

DIM = 4
SIZES = {"query_dim": DIM, "key_dim": DIM, "dim": DIM, "hidden_dim": 5, "max_keys": KEYS, "k": 2}
REACHES = {"left": 2, "right": 1, "back": 1, "forward": 2, "reach": 2, "size": 2, "stride": 2, "dilation": 2, "wait": 2}
PLACES = {"prefix_len": 2, "max_span": 3, "ids": [0, 0, 1, 1, 1], "slopes": 0.5}
# around other parts, so that they are not built from numbers alone; the last two scores are put around where needed
AROUND = {
    "AndWindow": lambda: AndWindow(AttentionWindow(1, 2), LocalPredictiveWindow(DIM, half_width=2)),
    "OrWindow": lambda: OrWindow(AttentionWindow(1, 1), CausalWindow()),
    "ScoreBias": lambda: ScoreBias(lambda query, key: -0.5 * (query - key).abs().double()),
    "SoftcapScore": lambda: SoftcapScore(CoverageScore(DIM, DIM, 5), 3.0),
    "PerHeadScore": lambda: PerHeadScore([CoverageScore(DIM, DIM, 5)]),
}
SCORES = sorted(exported(scores, Score) - {"PairedScore", "TransitionScore"})
WINDOWS = sorted(exported(windows, Window))
NORMALIZERS = sorted(exported(normalizers, Normalizer))


def build(package: ModuleType, name: str, **options):
    if name in AROUND:
        return AROUND[name]()
    parameters = inspect.signature(getattr(package, name)).parameters.values()
    given = {**SIZES, **REACHES, **PLACES}
    needed = {one.name: given[one.name] for one in parameters if one.default is one.empty and one.name in given}
    return getattr(package, name)(
        **needed, **{one.name: options[one.name] for one in parameters if one.name in options}
    )


def compose(score_name: str, window_name: str, normalizer_name: str, hard: bool) -> Attention | None:
    """None where the three do not go together; which do not is told elsewhere."""
    score, window = build(scores, score_name), build(windows, window_name)
    normalizer = build(normalizers, normalizer_name, hard=hard)
    try:
        if normalizer.energies > score.energies:
            moving = isinstance(normalizer, ForwardTransitionNormalizer)
            score = TransitionScore(score) if moving else PairedScore(score, DotScore(DIM))
        attention = Attention(score, window, normalizer)
    except ValueError:
        return None
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention.double().eval()


def beside(score_name: str):
    """With every normaliser; over all scores, each window comes beside each of both as well."""
    first = SCORES.index(score_name)
    for place, name in enumerate(NORMALIZERS):
        attention = compose(score_name, WINDOWS[(first + place) % len(WINDOWS)], name, hard=(first + place) % 2 == 0)
        if attention is not None and attention.stateful:
            yield attention


def test_no_more_windows_than_scores_and_normalisers():
    """Otherwise a pair would be left out."""
    assert len(WINDOWS) <= min(len(SCORES), len(NORMALIZERS))
    built = {type(part).__name__ for score in SCORES for one in beside(score) for part in (one.window, one.normalizer)}
    assert built >= {*WINDOWS, *NORMALIZERS}


@pytest.mark.parametrize("score_name", SCORES)
def test_what_is_hidden_has_no_part_and_steps_are_one_call(score_name):
    mask = torch.tensor([[[True, True, False, True, True]], [[False] * KEYS]])
    sizes = (QUERIES, DIM), (KEYS, DIM), (KEYS, VALUE_DIM)
    query, key, value = (torch.randn(BATCH, *size, dtype=torch.float64, requires_grad=True) for size in sizes)
    with torch.no_grad():
        key[0, 2] = key[1] = torch.nan
    swap = torch.tensor([1, 0])
    for attention in beside(score_name):
        context, weights = attention(query, key, value, mask, need_weights=True)
        assert context.isfinite().all()
        assert not context[1].any()
        assert not weights[1].any()
        assert not weights[0, :, 2].any()
        if context.requires_grad:
            leaves = query, key, value, *attention.parameters()
            slopes = torch.autograd.grad(context.square().sum(), leaves, materialize_grads=True)
            assert all(each.isfinite().all() for each in slopes)
            assert not slopes[1][1].any()
        memory = attention.remember(key, value, mask)
        state = attention.begin(memory, attention.first_position(QUERIES, KEYS))
        for index in range(QUERIES):
            memory, state = reorder(memory, swap), reorder(state, swap)
            asked, expected = (each.flip(0) if index % 2 == 0 else each for each in (query, context))
            output, state = attention.step(asked[:, index : index + 1], memory, state)
            assert_close(output.context, expected[:, index : index + 1])
            assert output.weights is None
