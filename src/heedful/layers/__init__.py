"""What attention stands beside and on: embeddings, recurrent layers."""

from .embeddings import TokenEmbedding as TokenEmbedding
from .initializers import init_like_keras as init_like_keras
from .linear import Linear as Linear
from .recurrent import Recurrent as Recurrent
from .recurrent import RecurrentState as RecurrentState
