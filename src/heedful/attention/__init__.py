"""Everything that is attention."""

from .bahdanau import BahdanauAttention as BahdanauAttention
from .bahdanau import NormedBahdanauAttention as NormedBahdanauAttention
from .base import Attention as Attention
from .base import AttentionOutput as AttentionOutput
from .base import AttentionState as AttentionState
from .base import Memory as Memory
from .luong import LuongAttention as LuongAttention
