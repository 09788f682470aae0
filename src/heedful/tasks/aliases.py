"""What is looked for under another name, beside the entries of the catalogue that stand for it."""

from dataclasses import replace

from heedful.attention.catalogue import Entry, catalogue
from heedful.attention.source import AINSLIE_2023, HENRY_2020, SHAZEER_2019, Source

from .companions import companions

# looked for, how it is written here, and the entry whose file, state and cost it has
_ALIASES = (
    ("multi-query attention (MQA)", "`MultiHeadAttention(num_kv_heads=1)`", "MultiHeadAttention"),
    (
        "grouped-query attention (GQA)",
        "`MultiHeadAttention(num_kv_heads=...)`, `MultiHeadAttention.grouped`",
        "MultiHeadAttention",
    ),
    ("multi-head latent attention (MLA)", "`LatentAttention`", "LatentAttention"),
    (
        "causal self-attention, cache of keys and values",
        "`SelfAttention`, `CausalWindow`; `remember`, `extend` and `step`",
        "CausalWindow",
    ),
    ("QK-norm", "`MultiHeadAttention(transform=...)`, `QueryKeyTransform(norm=...)`", "MultiHeadAttention"),
    ("RoPE", "`RotaryPositions`, `QueryKeyTransform(positions=...)`", "RotaryPositions"),
    ("logit softcapping", "`SoftcapScore`", "SoftcapScore"),
    ("attention sinks, softmax off by one", "`SoftmaxOneNormalizer`, `SinkWindow`", "SoftmaxOneNormalizer"),
    ("temperature", "`SoftmaxNormalizer(temperature=...)`", "SoftmaxNormalizer"),
    ("score modification of FlexAttention", "`ScoreBias`", "ScoreBias"),
    ("and, or of masks", "`AndWindow`, `OrWindow`", "AndWindow"),
    (
        "T5 relative bias, Shaw's relative positions",
        "`BucketedRelativeBias`, `RelativeBias`",
        "BucketedRelativeBias",
    ),
    (
        "Luong local-m, local-p",
        "`LuongLocalAttention`, `LocalMonotonicWindow`, `LocalPredictiveWindow`",
        "LuongLocalAttention",
    ),
    ("stepwise monotonic attention", "`StepwiseAttention`, `StepwiseNormalizer`", "StepwiseAttention"),
    (
        "transition agent",
        "`ForwardTransitionAttention`, `ForwardTransitionNormalizer`",
        "ForwardTransitionAttention",
    ),
    ("GMM attention", "`GaussianMixtureAttention`", "GaussianMixtureAttention"),
    ("DCA", "`DynamicConvolutionAttention`", "DynamicConvolutionAttention"),
    ("hard attention, REINFORCE", "`HardmaxNormalizer`, `SampledHardNormalizer`", "SampledHardNormalizer"),
    (
        "straight-through, Gumbel-softmax",
        "`StraightThroughNormalizer`, `GumbelSoftmaxNormalizer`",
        "GumbelSoftmaxNormalizer",
    ),
    (
        "multi-head scores for a recurrent decoder",
        "`MultiHeadAttention(attention=...)`, `PerHeadScore`",
        "PerHeadScore",
    ),
    ("PMA, ISAB of the Set Transformer", "`SeedPooling`, `InducedAttention`", "SeedPooling"),
    ("BiDAF", "`BidirectionalAttentionFlow`", "BidirectionalAttentionFlow"),
    ("DCN", "`CoAttention`", "CoAttention"),
    ("HAN", "`HierarchicalAttention`", "HierarchicalAttention"),
    ("multiple-instance pooling", "`GatedPooling`", "GatedPooling"),
    ("pointer network", "`PointerAttention`", "PointerAttention"),
    ("pointer-generator", "`PointerGenerator`", "PointerGenerator"),
    ("L2 attention, Lipschitz attention", "`DistanceAttention`, `DistanceScore`", "DistanceAttention"),
    ("wait-k", "`WaitKWindow`", "WaitKWindow"),
    ("adaptive span", "`AdaptiveSpanWindow`", "AdaptiveSpanWindow"),
    ("comprehensiveness, sufficiency, erasure", "`heedful.metrics.faithfulness`", "faithfulness"),
    ("addressing of a Neural Turing Machine", "`heedful.functional.addressing`, `CosineScore`", "CosineScore"),
    ("expected delay, latency of simultaneous translation", "`heedful.training.latency_loss`", "latency_loss"),
    ("length and coverage penalties of a search", "`heedful.decoding.Penalties`", "coverage_penalty"),
)
# of those whose entry is another paper's
_SOURCES: dict[str, Source] = {
    "multi-query attention (MQA)": SHAZEER_2019(place="section 3"),
    "grouped-query attention (GQA)": AINSLIE_2023(place="section 2.2"),
    "QK-norm": HENRY_2020(place="section 3"),
}


def aliases() -> list[Entry]:
    """Other names, alphabetically: `formula` says how such a thing is written here.

    >>> [entry.formula for entry in aliases() if entry.name == "DCA"]
    ['`DynamicConvolutionAttention`']
    """
    entries = {entry.name: entry for entry in [*catalogue(), *companions()]}
    return [_alias(name, here, entries[of]) for name, here, of in sorted(_ALIASES, key=lambda alias: alias[0].lower())]


def _alias(name: str, here: str, entry: Entry) -> Entry:
    source = _SOURCES.get(name, Source(entry.paper, entry.place, entry.year))
    told = {"paper": source.paper, "place": source.place, "year": source.year}
    return replace(entry, name=name, kind="alias", formula=here, **told)
