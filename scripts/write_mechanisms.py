"""Write docs/mechanisms.md from the catalogue: python scripts/write_mechanisms.py."""

from pathlib import Path

from heedful.attention.catalogue import catalogue, markdown
from heedful.tasks.companions import companions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "mechanisms.md"
HEAD = """# Mechanisms

What there is, from which paper, in which file: mechanisms and their parts, then losses on weights, positions, and
measures of attention. Written by `python scripts/write_mechanisms.py` from the classes and
builders themselves; `heedful list` shows the same, and a test compares. State: what goes from one query to the
next. Time and memory (beside inputs and parameters) grow as written, batch and heads left out where they only multiply;
measured times are in [benchmarks](../benchmarks/README.md). Compiled: in one graph, by `torch.compile(fullgraph=True)`
and `torch.export`.

## Under another name

Options and names that are looked for under another word; everything else has its line below. All are imported from
`heedful`, or from `heedful.attention.scores`, `.windows` and `.normalizers`.

| looked for | here |
| --- | --- |
| multi-query attention (MQA) | `MultiHeadAttention(num_kv_heads=1)` |
| grouped-query attention (GQA) | `MultiHeadAttention(num_kv_heads=...)`, `MultiHeadAttention.grouped` |
| multi-head latent attention (MLA) | `LatentAttention` |
| causal self-attention, cache of keys and values | `SelfAttention`, `CausalWindow`; `remember`, `extend` and `step` |
| QK-norm | `QueryKeyTransform(norm=...)`, `MultiHeadAttention(transform=...)` |
| RoPE | `RotaryPositions`, `QueryKeyTransform(positions=...)` |
| logit softcapping | `SoftcapScore` |
| attention sinks, softmax off by one | `SoftmaxOneNormalizer`, `SinkWindow` |
| temperature | `SoftmaxNormalizer(temperature=...)` |
| score modification of FlexAttention | `ScoreBias` |
| and, or of masks | `AndWindow`, `OrWindow` |
| T5 relative bias, Shaw's relative positions | `BucketedRelativeBias`, `RelativeBias` |
| Luong local-m, local-p | `LuongLocalAttention`, `LocalMonotonicWindow`, `LocalPredictiveWindow` |
| stepwise monotonic attention | `StepwiseAttention`, `StepwiseNormalizer` |
| transition agent | `ForwardTransitionAttention`, `ForwardTransitionNormalizer` |
| GMM attention, DCA | `GaussianMixtureAttention`, `DynamicConvolutionAttention` |
| hard attention, REINFORCE | `HardmaxNormalizer`, `SampledHardNormalizer` |
| straight-through, Gumbel-softmax | `StraightThroughNormalizer`, `GumbelSoftmaxNormalizer` |
| multi-head scores for a recurrent decoder | `MultiHeadAttention(attention=...)` |
| PMA, ISAB of the Set Transformer | `SeedPooling`, `InducedAttention` |
| BiDAF, DCN, HAN | `BidirectionalAttentionFlow`, `CoAttention`, `HierarchicalAttention` |
| multiple-instance pooling | `GatedPooling` |
| pointer network, pointer-generator | `PointerAttention`, `PointerGenerator` |
| length and coverage penalties of a search | `heedful.decoding.Penalties` |

## All of them

"""

if __name__ == "__main__":
    PAGE.write_text(HEAD + markdown([*catalogue(), *companions()]), encoding="utf-8")
