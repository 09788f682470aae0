"""Which keys, how strongly? One file each."""

from .base import View as View
from .base import Window as Window
from .causal import CausalWindow as CausalWindow
from .causal import causal_mask as causal_mask
from .everywhere import EverywhereWindow as EverywhereWindow
