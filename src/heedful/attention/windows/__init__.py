"""Which keys, how strongly? One file each."""

from .adaptive_span import AdaptiveSpanWindow as AdaptiveSpanWindow
from .base import View as View
from .base import Window as Window
from .block import BlockWindow as BlockWindow
from .causal import CausalWindow as CausalWindow
from .causal import causal_mask as causal_mask
from .dilated import DilatedWindow as DilatedWindow
from .everywhere import EverywhereWindow as EverywhereWindow
from .local_monotonic import LocalMonotonicWindow as LocalMonotonicWindow
from .local_predictive import LocalPredictiveWindow as LocalPredictiveWindow
from .relative import RelativeWindow as RelativeWindow
from .sink import SinkWindow as SinkWindow
from .sliding import SlidingWindow as SlidingWindow
from .wait_k import WaitKWindow as WaitKWindow
