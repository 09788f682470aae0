"""Every attention mechanism behind one interface, exact and fast.

Importing heedful loads nothing else: each public name is fetched from its module when it is first used.

>>> import heedful
>>> "BahdanauAttention" in dir(heedful)
True
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heedful import functional as functional
    from heedful._errors import HeedfulError as HeedfulError
    from heedful.attention import AttBlstmPooling as AttBlstmPooling
    from heedful.attention import Attention as Attention
    from heedful.attention import AttentionOutput as AttentionOutput
    from heedful.attention import AttentionPooling as AttentionPooling
    from heedful.attention import AttentiveStatisticsPooling as AttentiveStatisticsPooling
    from heedful.attention import AverageAttention as AverageAttention
    from heedful.attention import BahdanauAttention as BahdanauAttention
    from heedful.attention import BidirectionalAttentionFlow as BidirectionalAttentionFlow
    from heedful.attention import ChannelStatisticsPooling as ChannelStatisticsPooling
    from heedful.attention import ChorowskiAttention as ChorowskiAttention
    from heedful.attention import CoAttention as CoAttention
    from heedful.attention import CopyDistribution as CopyDistribution
    from heedful.attention import CopyGate as CopyGate
    from heedful.attention import CopyNet as CopyNet
    from heedful.attention import CoverageAttention as CoverageAttention
    from heedful.attention import DeltaRuleAttention as DeltaRuleAttention
    from heedful.attention import DifferentialAttention as DifferentialAttention
    from heedful.attention import DistanceAttention as DistanceAttention
    from heedful.attention import DynamicConvolution as DynamicConvolution
    from heedful.attention import DynamicConvolutionAttention as DynamicConvolutionAttention
    from heedful.attention import FeatureAttention as FeatureAttention
    from heedful.attention import FeatureTemporalAttention as FeatureTemporalAttention
    from heedful.attention import FlatMultiSourceAttention as FlatMultiSourceAttention
    from heedful.attention import ForwardAttention as ForwardAttention
    from heedful.attention import ForwardTransitionAttention as ForwardTransitionAttention
    from heedful.attention import FusedContexts as FusedContexts
    from heedful.attention import GatedAttention as GatedAttention
    from heedful.attention import GatedPooling as GatedPooling
    from heedful.attention import GaussianMixtureAttention as GaussianMixtureAttention
    from heedful.attention import HierarchicalAttention as HierarchicalAttention
    from heedful.attention import InducedAttention as InducedAttention
    from heedful.attention import IntraDecoderAttention as IntraDecoderAttention
    from heedful.attention import IntraTemporalAttention as IntraTemporalAttention
    from heedful.attention import KeyValueAttention as KeyValueAttention
    from heedful.attention import LastPooling as LastPooling
    from heedful.attention import LastStateAttention as LastStateAttention
    from heedful.attention import LatentAttention as LatentAttention
    from heedful.attention import LearnedQueryPooling as LearnedQueryPooling
    from heedful.attention import LightConvolution as LightConvolution
    from heedful.attention import LinearAttention as LinearAttention
    from heedful.attention import LinformerAttention as LinformerAttention
    from heedful.attention import LinguisticCoverageAttention as LinguisticCoverageAttention
    from heedful.attention import LuongAttention as LuongAttention
    from heedful.attention import LuongLocalAttention as LuongLocalAttention
    from heedful.attention import MaxPooling as MaxPooling
    from heedful.attention import MeanPooling as MeanPooling
    from heedful.attention import Memory as Memory
    from heedful.attention import MilkAttention as MilkAttention
    from heedful.attention import MochaAttention as MochaAttention
    from heedful.attention import MonotonicAttention as MonotonicAttention
    from heedful.attention import MultiHeadAttention as MultiHeadAttention
    from heedful.attention import MultiSourceAttention as MultiSourceAttention
    from heedful.attention import NeuralCoverageAttention as NeuralCoverageAttention
    from heedful.attention import NormedBahdanauAttention as NormedBahdanauAttention
    from heedful.attention import NystromAttention as NystromAttention
    from heedful.attention import ParallelCoAttention as ParallelCoAttention
    from heedful.attention import PerformerAttention as PerformerAttention
    from heedful.attention import PointerAttention as PointerAttention
    from heedful.attention import PointerGenerator as PointerGenerator
    from heedful.attention import RetentionAttention as RetentionAttention
    from heedful.attention import ScaledLuongAttention as ScaledLuongAttention
    from heedful.attention import SeedPooling as SeedPooling
    from heedful.attention import SelfAttention as SelfAttention
    from heedful.attention import SineAttention as SineAttention
    from heedful.attention import SlidingAttention as SlidingAttention
    from heedful.attention import StepwiseAttention as StepwiseAttention
    from heedful.attention import StructuredSelfAttention as StructuredSelfAttention
    from heedful.attention import TacotronAttention as TacotronAttention
    from heedful.attention import TalkingHeadsAttention as TalkingHeadsAttention
    from heedful.attention import TransformerXLAttention as TransformerXLAttention
    from heedful.attention import TwoLevelAttention as TwoLevelAttention
    from heedful.attention import VisualAttention as VisualAttention
    from heedful.attention.catalogue import catalogue as catalogue
    from heedful.functional import padding_mask as padding_mask

__version__ = "0.1.0"

# name -> the module that holds it; None: the name is itself a module of heedful
_PUBLIC = {
    "AttBlstmPooling": "heedful.attention",
    "Attention": "heedful.attention",
    "AttentionOutput": "heedful.attention",
    "AttentionPooling": "heedful.attention",
    "AttentiveStatisticsPooling": "heedful.attention",
    "AverageAttention": "heedful.attention",
    "BahdanauAttention": "heedful.attention",
    "BidirectionalAttentionFlow": "heedful.attention",
    "ChannelStatisticsPooling": "heedful.attention",
    "ChorowskiAttention": "heedful.attention",
    "CoAttention": "heedful.attention",
    "CopyDistribution": "heedful.attention",
    "CopyGate": "heedful.attention",
    "CopyNet": "heedful.attention",
    "CoverageAttention": "heedful.attention",
    "DeltaRuleAttention": "heedful.attention",
    "DifferentialAttention": "heedful.attention",
    "DistanceAttention": "heedful.attention",
    "DynamicConvolution": "heedful.attention",
    "DynamicConvolutionAttention": "heedful.attention",
    "FeatureAttention": "heedful.attention",
    "FeatureTemporalAttention": "heedful.attention",
    "FlatMultiSourceAttention": "heedful.attention",
    "ForwardAttention": "heedful.attention",
    "ForwardTransitionAttention": "heedful.attention",
    "FusedContexts": "heedful.attention",
    "GatedAttention": "heedful.attention",
    "GatedPooling": "heedful.attention",
    "GaussianMixtureAttention": "heedful.attention",
    "HeedfulError": "heedful._errors",
    "HierarchicalAttention": "heedful.attention",
    "InducedAttention": "heedful.attention",
    "IntraDecoderAttention": "heedful.attention",
    "IntraTemporalAttention": "heedful.attention",
    "KeyValueAttention": "heedful.attention",
    "LastPooling": "heedful.attention",
    "LastStateAttention": "heedful.attention",
    "LatentAttention": "heedful.attention",
    "LearnedQueryPooling": "heedful.attention",
    "LightConvolution": "heedful.attention",
    "LinearAttention": "heedful.attention",
    "LinformerAttention": "heedful.attention",
    "LinguisticCoverageAttention": "heedful.attention",
    "LuongAttention": "heedful.attention",
    "LuongLocalAttention": "heedful.attention",
    "MaxPooling": "heedful.attention",
    "MeanPooling": "heedful.attention",
    "Memory": "heedful.attention",
    "MilkAttention": "heedful.attention",
    "MochaAttention": "heedful.attention",
    "MonotonicAttention": "heedful.attention",
    "MultiHeadAttention": "heedful.attention",
    "MultiSourceAttention": "heedful.attention",
    "NeuralCoverageAttention": "heedful.attention",
    "NormedBahdanauAttention": "heedful.attention",
    "NystromAttention": "heedful.attention",
    "ParallelCoAttention": "heedful.attention",
    "PerformerAttention": "heedful.attention",
    "PointerAttention": "heedful.attention",
    "PointerGenerator": "heedful.attention",
    "RetentionAttention": "heedful.attention",
    "ScaledLuongAttention": "heedful.attention",
    "SeedPooling": "heedful.attention",
    "SelfAttention": "heedful.attention",
    "SineAttention": "heedful.attention",
    "SlidingAttention": "heedful.attention",
    "StepwiseAttention": "heedful.attention",
    "StructuredSelfAttention": "heedful.attention",
    "TacotronAttention": "heedful.attention",
    "TalkingHeadsAttention": "heedful.attention",
    "TransformerXLAttention": "heedful.attention",
    "TwoLevelAttention": "heedful.attention",
    "VisualAttention": "heedful.attention",
    "catalogue": "heedful.attention.catalogue",
    "functional": None,
    "padding_mask": "heedful.functional",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]: the names above, not typed again


def __getattr__(name: str) -> object:
    """Fetch a public name from its module, once; every other name is an AttributeError."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    module = _PUBLIC[name]
    value = getattr(import_module(module), name) if module else import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
