"""Layers beside attention: embeddings, positions, position-wise and recurrent layers."""

from .dropout import Dropout as Dropout
from .embeddings import TokenEmbedding as TokenEmbedding
from .feed_forward import FeedForward as FeedForward
from .initializers import init_like_keras as init_like_keras
from .linear import Linear as Linear
from .ngrams import NgramEmbedding as NgramEmbedding
from .positions import LearnedPositions as LearnedPositions
from .positions import RotaryPositions as RotaryPositions
from .positions import SinusoidalPositions as SinusoidalPositions
from .recurrent import Recurrent as Recurrent
from .recurrent import RecurrentState as RecurrentState
from .stochastic_depth import StochasticDepth as StochasticDepth
