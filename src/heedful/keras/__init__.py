"""Keras 3 layers that are attention, on TensorFlow, JAX and PyTorch (extra `heedful[keras]`).

The backend is Keras' own choice, `KERAS_BACKEND` in the environment; on TensorFlow and JAX torch is never loaded. A
mask is boolean, True = may look, and comes by itself from `Embedding(mask_zero=True)` and `Masking`.
"""

from . import _h5 as _h5
from .additive import AdditiveAttention as AdditiveAttention
from .attention import Attention as Attention
from .cross import AttentionLayer as AttentionLayer
from .decoder import AttentionDecoder as AttentionDecoder
from .dot import DotAttention as DotAttention
from .features import FeatureAttention as FeatureAttention
from .features import TemporalAttention as TemporalAttention
from .local import LuongLocalAttention as LuongLocalAttention
from .pooling import AttentionPooling as AttentionPooling
from .recording import AttentionRecorder as AttentionRecorder
from .recording import attention_weights as attention_weights
from .sine import SineAttention as SineAttention
from .structured import SelfAttentivePooling as SelfAttentivePooling
from .weights import load_attention_weights as load_attention_weights
