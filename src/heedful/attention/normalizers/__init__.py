"""Scores to weights. One file each."""

from .base import Normalizer as Normalizer
from .constrained import ConstrainedSoftmaxNormalizer as ConstrainedSoftmaxNormalizer
from .constrained import ConstrainedSparsemaxNormalizer as ConstrainedSparsemaxNormalizer
from .entmax import Entmax15Normalizer as Entmax15Normalizer
from .forward import ForwardNormalizer as ForwardNormalizer
from .hard import HardmaxNormalizer as HardmaxNormalizer
from .hard import StraightThroughNormalizer as StraightThroughNormalizer
from .intra_temporal import IntraTemporalNormalizer as IntraTemporalNormalizer
from .monotonic import MonotonicNormalizer as MonotonicNormalizer
from .sigmoid import SigmoidNormalizer as SigmoidNormalizer
from .smoothed import SmoothedNormalizer as SmoothedNormalizer
from .softmax import SoftmaxNormalizer as SoftmaxNormalizer
from .softmax_one import SoftmaxOneNormalizer as SoftmaxOneNormalizer
from .sparsemax import SparsemaxNormalizer as SparsemaxNormalizer
from .stepwise import StepwiseNormalizer as StepwiseNormalizer
from .top_k import TopKNormalizer as TopKNormalizer
