"""What cannot be exported, said in one sentence each."""

from typing import Any

from heedful._errors import ExportError
from heedful.models import TransformerDecoder


def refuse_stateful_past(model: Any) -> None:
    """Refuse self-attention in a decoder whose looks depend on the looks before: what it looks at grows.

    Raises:
        ExportError: names the parts.
    """
    for attention in _own_looks(model.decoder):
        if getattr(attention, "stateful", False):
            inner = getattr(attention, "attention", attention)
            parts = (part for part in (inner.score, inner.window, inner.normalizer) if part.stateful)
            names = ", ".join(type(part).__name__ for part in parts)
            raise ExportError(
                f"the model looks back at its own steps with {names}, whose looks depend on the looks before, and a "
                "graph does not hold that; use it with `heedful translate`, or train with bahdanau, luong, sine or "
                "multi_head."
            )


def _own_looks(decoder: Any) -> list[Any]:
    """What looks at the steps said so far."""
    if isinstance(decoder, TransformerDecoder):
        return [layer.self_attention for layer in decoder.stack.layers]
    return [decoder.look_back] if hasattr(decoder, "look_back") else []
