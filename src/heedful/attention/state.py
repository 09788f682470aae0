"""What a beam does to memory and state: plain dataclasses of tensors, batch axis first."""

from heedful._pytree import reorder as reorder
from heedful._pytree import repeat as repeat
from heedful._pytree import to_device as to_device
