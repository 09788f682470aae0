"""Everything that is attention."""

from .bahdanau import BahdanauAttention as BahdanauAttention
from .bahdanau import NormedBahdanauAttention as NormedBahdanauAttention
from .base import Attention as Attention
from .base import AttentionOutput as AttentionOutput
from .base import AttentionState as AttentionState
from .base import Memory as Memory
from .features import FeatureAttention as FeatureAttention
from .features import FeatureTemporalAttention as FeatureTemporalAttention
from .features import Weighed as Weighed
from .hierarchical import Document as Document
from .hierarchical import HierarchicalAttention as HierarchicalAttention
from .last_state import LastStateAttention as LastStateAttention
from .luong import LuongAttention as LuongAttention
from .monotonic import MonotonicAttention as MonotonicAttention
from .monotonic import StepwiseAttention as StepwiseAttention
from .pooling import AttBlstmPooling as AttBlstmPooling
from .pooling import AttentionPooling as AttentionPooling
from .pooling import LastPooling as LastPooling
from .pooling import MaxPooling as MaxPooling
from .pooling import MeanPooling as MeanPooling
from .pooling import Pooled as Pooled
from .pooling import Pooling as Pooling
from .structured import StructuredSelfAttention as StructuredSelfAttention
