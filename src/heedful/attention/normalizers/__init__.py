"""Scores to weights. One file each."""

from .base import Normalizer as Normalizer
from .softmax import SoftmaxNormalizer as SoftmaxNormalizer
