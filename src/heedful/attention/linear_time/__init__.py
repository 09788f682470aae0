"""Attention in time and memory linear in the sequence, and its kin: the same calls, with heads of its own."""

from .average import AverageAttention as AverageAttention
from .base import LinearTimeAttention as LinearTimeAttention
from .delta import DeltaRuleAttention as DeltaRuleAttention
from .dynamic_convolution import DynamicConvolution as DynamicConvolution
from .light_convolution import LightConvolution as LightConvolution
from .linear import LinearAttention as LinearAttention
from .linformer import LinformerAttention as LinformerAttention
from .nystrom import NystromAttention as NystromAttention
from .performer import PerformerAttention as PerformerAttention
from .retention import RetentionAttention as RetentionAttention
from .sliding import SlidingAttention as SlidingAttention
