"""Scores to weights. One file each."""

from .base import Normalizer as Normalizer
from .entmax import Entmax15Normalizer as Entmax15Normalizer
from .hard import HardmaxNormalizer as HardmaxNormalizer
from .hard import StraightThroughNormalizer as StraightThroughNormalizer
from .sigmoid import SigmoidNormalizer as SigmoidNormalizer
from .smoothed import SmoothedNormalizer as SmoothedNormalizer
from .softmax import SoftmaxNormalizer as SoftmaxNormalizer
from .softmax_one import SoftmaxOneNormalizer as SoftmaxOneNormalizer
from .sparsemax import SparsemaxNormalizer as SparsemaxNormalizer
from .top_k import TopKNormalizer as TopKNormalizer
