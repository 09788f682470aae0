"""What cannot be exported, said in one sentence each."""

from typing import Any

from heedful._errors import ExportError
from heedful.models import LanguageModel, Seq2Seq, TransformerDecoder


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
    for attention in _attentions(model.decoder):
        if named := stateful_parts(attention):
            raise ExportError(
                f"the model's attention is stateful ({named}): what a step looks "
                "at depends on the looks before it, and the graph of a step has no place for that; translate with "
                "`heedful translate`, or train with bahdanau, luong, sine, local_m, local_p or multi_head."
            )


def refuse_stateful_past(model: LanguageModel) -> None:
    """Refuse a language model whose looks depend on the looks before: a prompt is read in one call.

    Raises:
        ExportError: names the attention.
    """
    for attention in _attentions(model.decoder):
        if named := stateful_parts(attention):
            raise ExportError(
                f"the language model looks back with {named}, whose looks depend on the looks before, token after token,"
                " and a graph reads a whole prompt at once; continue texts with `heedful translate`, or train with "
                "bahdanau, luong, sine or multi_head."
            )


def stateful_parts(attention: Any) -> str:
    """The parts of an attention that keep a state from look to look; empty where none does."""
    inner = getattr(attention, "attention", attention)
    return ", ".join(type(part).__name__ for part in (inner.score, inner.window, inner.normalizer) if part.stateful)


def _attentions(decoder: Any) -> list[Any]:
    if isinstance(decoder, TransformerDecoder):
        looks = [one for layer in decoder.stack.layers for one in (layer.self_attention, layer.attention)]
    else:
        looks = [getattr(decoder, name, None) for name in ("attention", "look_back")]
    return [one for one in looks if one is not None]
