"""What cannot be exported, said in one sentence each."""

from torch import nn

from heedful._errors import ExportError
from heedful.models import TransformerEncoderLayer


def refuse_remembering_encoder(model: nn.Module) -> None:
    """Refuse an encoder whose looks depend on the looks before: it reads step after step, as many as there are.

    Raises:
        ExportError: names the parts.
    """
    for layer in model.modules():
        if isinstance(layer, TransformerEncoderLayer) and layer.self_attention.stateful:
            inner = layer.self_attention.attention
            parts = (part for part in (inner.score, inner.window, inner.normalizer) if part.stateful)
            names = " and ".join(type(part).__name__ for part in parts)
            raise ExportError(
                f"the encoder looks at itself with {names}, one step after the other, which no graph for sources of "
                "any length holds; use the model with heedful, or train with other parts in "
                "model.transformer.encoder_self."
            )
