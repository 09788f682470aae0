"""Attention in time and memory linear in the sequence, and its kin: the same calls, with heads of its own."""

from .average import AverageAttention as AverageAttention
from .base import LinearTimeAttention as LinearTimeAttention
from .linear import LinearAttention as LinearAttention
from .linformer import LinformerAttention as LinformerAttention
from .nystrom import NystromAttention as NystromAttention
from .performer import PerformerAttention as PerformerAttention
from .sliding import SlidingAttention as SlidingAttention
