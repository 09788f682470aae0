"""Scores to weights. One file each."""

from .base import Normalizer as Normalizer
from .constrained import ConstrainedSoftmaxNormalizer as ConstrainedSoftmaxNormalizer
from .constrained import ConstrainedSparsemaxNormalizer as ConstrainedSparsemaxNormalizer
from .forward import ForwardNormalizer as ForwardNormalizer
from .intra_temporal import IntraTemporalNormalizer as IntraTemporalNormalizer
from .monotonic import MonotonicNormalizer as MonotonicNormalizer
from .softmax import SoftmaxNormalizer as SoftmaxNormalizer
from .stepwise import StepwiseNormalizer as StepwiseNormalizer
