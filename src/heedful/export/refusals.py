"""What cannot be exported, said in one sentence each."""

from typing import Any

from heedful._errors import ExportError
from heedful.models import Seq2Seq, TransformerDecoder


def refuse_copying(model: Seq2Seq) -> None:
    """Refuse a model that copies words: its answers are no ids of its vocabulary.

    Raises:
        ExportError: it is one.
    """
    if model.copying is not None:
        raise ExportError(
            "the model copies words of its source, and a graph would have to give back words that have no id; use it "
            "with `heedful translate` or `heedful serve`, or train with model.copies: false."
        )


def refuse_stateful(model: Seq2Seq) -> None:
    """Refuse attention whose first step makes a state that there is no tensor for before.

    Raises:
        ExportError: names the attention.
    """
    for attention in _attentions(model):
        if attention.stateful:
            inner = getattr(attention, "attention", attention)
            parts = (inner.score, inner.window, inner.normalizer)
            named = [type(part).__name__ for part in parts if part.stateful]
            raise ExportError(
                f"the model's attention is stateful ({', '.join(named)}): what a step looks "
                "at depends on the looks before it, and the graph of a step has no place for that; translate with "
                "`heedful translate`, or train with bahdanau, luong, sine, local_m, local_p or multi_head."
            )


def _attentions(model: Seq2Seq) -> list[Any]:
    decoder: Any = model.decoder
    if isinstance(decoder, TransformerDecoder):
        return [one for layer in decoder.stack.layers for one in (layer.self_attention, layer.attention)]
    return [decoder.attention] if hasattr(decoder, "attention") else []
