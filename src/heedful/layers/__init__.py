"""What attention stands beside and on: embeddings, recurrent layers."""

from .embeddings import TokenEmbedding as TokenEmbedding
from .recurrent import Recurrent as Recurrent
from .recurrent import RecurrentState as RecurrentState
