"""Everything that is attention."""

from .bahdanau import BahdanauAttention as BahdanauAttention
from .bahdanau import NormedBahdanauAttention as NormedBahdanauAttention
from .base import Attention as Attention
from .base import AttentionOutput as AttentionOutput
from .base import AttentionState as AttentionState
from .base import Memory as Memory
from .coverage import CoverageAttention as CoverageAttention
from .features import FeatureAttention as FeatureAttention
from .features import FeatureTemporalAttention as FeatureTemporalAttention
from .features import Weighed as Weighed
from .hierarchical import Document as Document
from .hierarchical import HierarchicalAttention as HierarchicalAttention
from .last_state import LastStateAttention as LastStateAttention
from .location_sensitive import ChorowskiAttention as ChorowskiAttention
from .location_sensitive import TacotronAttention as TacotronAttention
from .luong import LuongAttention as LuongAttention
from .luong_local import LuongLocalAttention as LuongLocalAttention
from .pooling import AttBlstmPooling as AttBlstmPooling
from .pooling import AttentionPooling as AttentionPooling
from .pooling import LastPooling as LastPooling
from .pooling import MaxPooling as MaxPooling
from .pooling import MeanPooling as MeanPooling
from .pooling import Pooled as Pooled
from .pooling import Pooling as Pooling
from .sine import SineAttention as SineAttention
from .structured import StructuredSelfAttention as StructuredSelfAttention
