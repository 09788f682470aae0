"""CTranslate2: a Transformer's weights under the names of that engine, through its public specification."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heedful._errors import ExportError
from heedful.attention import MultiHeadAttention
from heedful.attention.normalizers import SoftmaxNormalizer
from heedful.attention.scores import ScaledDotScore
from heedful.attention.windows import CausalWindow, EverywhereWindow
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.data.vocabulary import BOS, EOS, SPECIAL_TOKENS, UNK
from heedful.decoding.constraints import Constraints
from heedful.layers import FeedForward, LearnedPositions, SinusoidalPositions
from heedful.models import TransformerDecoder, TransformerEncoder

from .folder import export_folder, require
from .kinds import refuse_all_but_translators

# places of sines that are written down; CTranslate2 itself reads 1,024 tokens of a source
MAX_PLACES = 2048


def export_ctranslate2(
    model: nn.Module, tokenizers: TokenizerPair, path: str | os.PathLike[str], constraints: Constraints | None = None
) -> Path:
    """Write a CTranslate2 model, both tokenisers and `heedful.json`, whole or not at all.

    Args:
        model: Transformer on both sides: norm before or after, layer or root mean square; sines, learned positions or
            none; ReLU, GELU or SwiGLU; tied embeddings or not.
        tokenizers: of both sides.
        path: a folder of its own; an older export there is replaced.
        constraints: how long a translation may be.

    Raises:
        ExportError: ctranslate2 is not installed, or the model holds what is not written for it, which is named.
        OutputError: the place cannot be written, or holds anything but an export.
    """
    refuse_unrepresentable(model)
    require("ctranslate2")
    with export_folder(path, tokenizers, constraints) as (folder, manifest), torch.no_grad():
        spec = _spec(model)
        spec.register_source_vocabulary(entries(tokenizers.source))
        spec.register_target_vocabulary(entries(tokenizers.target))
        unk, bos, eos = (SPECIAL_TOKENS[index] for index in (UNK, BOS, EOS))
        spec.config.unk_token, spec.config.eos_token = unk, eos
        spec.config.bos_token = spec.config.decoder_start_token = bos
        spec.config.layer_norm_epsilon = _epsilon(model)
        spec.validate()
        spec.optimize()
        spec.save(str(folder))
        manifest |= {"runtime": "ctranslate2"}
    return Path(path)


def refuse_unrepresentable(model: Any) -> None:
    """Refuse what heedful does not write for CTranslate2.

    Raises:
        ExportError: names it.
    """
    refuse_all_but_translators(model, "CTranslate2")
    sides: Any = (model.encoder, model.decoder)
    if not (isinstance(sides[0], TransformerEncoder) and isinstance(sides[1], TransformerDecoder)):
        names = " and ".join(type(side).__name__ for side in sides)
        raise _not_written(f"{names} (only a Transformer on both sides is)")
    for stack in (side.stack for side in sides):
        if stack.positions is not None and not isinstance(stack.positions, SinusoidalPositions | LearnedPositions):
            raise _not_written(type(stack.positions).__name__)
        for layer in stack.layers:
            for attention in (layer.self_attention, getattr(layer, "attention", None)):
                if attention is not None:
                    _refuse_attention(attention)
    layers = [layer for side in sides for layer in side.stack.layers]
    if len({(layer.self_residual.norm_first, layer.feed_forward.activation) for layer in layers}) > 1:
        raise _not_written("layers of several activations or orders of norms")
    if not isinstance(model.output.project, nn.Identity):
        raise _not_written("an output tied to an embedding of another size")


def _refuse_attention(attention: MultiHeadAttention) -> None:
    inner = attention.attention
    if attention.transform is not None or attention.finish is not None:
        raise _not_written("what rotates or normalises queries and keys (positions: rotary, qk_norm)")
    known = ScaledDotScore, EverywhereWindow | CausalWindow, SoftmaxNormalizer
    for part, kind in zip((inner.score, inner.window, inner.normalizer), known, strict=True):
        if not isinstance(part, kind) or (kind is SoftmaxNormalizer and not part.is_plain_softmax):
            raise _not_written(type(part).__name__)
    if attention.num_kv_heads != attention.num_heads:
        raise _not_written(f"{attention.num_kv_heads} heads of keys for {attention.num_heads} of queries (kv_heads)")


def _not_written(what: str) -> ExportError:
    return ExportError(f"{what} is not written for CTranslate2; export to onnx or torch instead.")


def _spec(model: Any) -> Any:
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.common_spec import Activation

    encoder, decoder = model.encoder.stack, model.decoder.stack
    first = encoder.layers[0]
    activations = {"relu": Activation.RELU, "gelu": Activation.GELU, "swiglu": Activation.SWISH}
    heads = first.self_attention.num_heads
    spec = TransformerSpec.from_config(
        (len(encoder.layers), len(decoder.layers)),
        heads,
        pre_norm=first.self_residual.norm_first,
        activation=activations[first.feed_forward.activation],
        alignment_heads=heads,
        ffn_glu=first.feed_forward.activation == "swiglu",
        rms_norm=isinstance(first.self_residual.norm, nn.RMSNorm),
    )
    _stack(spec.encoder, spec.encoder.embeddings[0], model.encoder.embedding, encoder)
    _stack(spec.decoder, spec.decoder.embeddings, model.embedding, decoder)
    _linear(spec.decoder.projection, (model.output,))
    return spec


def _stack(spec: Any, embeddings: Any, embedding: Any, stack: Any) -> None:
    embeddings.weight = _numbers(embedding.weight)
    spec.scale_embeddings = True
    spec.position_encodings.encodings = _numbers(_places(stack))
    if not isinstance(stack.norm, nn.Identity):
        _norm(spec.layer_norm, stack.norm)
    for part, layer in zip(spec.layer, stack.layers, strict=True):
        own = layer.self_attention
        _linear(part.self_attention.linear[0], (own.query_proj, own.key_proj, own.value_proj))
        _linear(part.self_attention.linear[1], (own.output_proj,))
        _norm(part.self_attention.layer_norm, layer.self_residual.norm)
        look = getattr(layer, "attention", None)
        if look is not None:
            _linear(part.attention.linear[0], (look.query_proj,))
            _linear(part.attention.linear[1], (look.key_proj, look.value_proj))
            _linear(part.attention.linear[2], (look.output_proj,))
            _norm(part.attention.layer_norm, layer.residual.norm)
        _feed_forward(part.ffn, layer.feed_forward)
        _norm(part.ffn.layer_norm, layer.feed_residual.norm)


def _feed_forward(spec: Any, layer: FeedForward) -> None:
    if layer.activation == "swiglu":
        (gate, content), biases = layer.inner.weight.chunk(2), layer.inner.bias.chunk(2)
        spec.linear_0.weight, spec.linear_0.bias = _numbers(gate), _numbers(biases[0])
        spec.linear_0_noact.weight, spec.linear_0_noact.bias = _numbers(content), _numbers(biases[1])
    else:
        _linear(spec.linear_0, (layer.inner,))
    _linear(spec.linear_1, (layer.outer,))


def _linear(spec: Any, layers: tuple[Any, ...]) -> None:
    """Layers that read the same, as one."""
    spec.weight = _numbers(torch.cat([layer.weight for layer in layers]))
    spec.bias = _numbers(torch.cat([layer.bias for layer in layers]))


def _norm(spec: Any, norm: Any) -> None:
    spec.gamma = _numbers(norm.weight)
    if isinstance(norm, nn.LayerNorm):
        spec.beta = _numbers(norm.bias)


def _places(stack: Any) -> Tensor:
    """What is added to the embeddings of each place."""
    if isinstance(stack.positions, LearnedPositions):
        return stack.positions.table
    nothing = torch.zeros(1, MAX_PLACES, stack.dim)
    return (nothing if stack.positions is None else stack.positions(nothing)).squeeze(0)


def _epsilon(model: Any) -> float:
    """What is added to a variance; torch's norm of the root mean square takes the smallest step above 1."""
    norm = model.encoder.stack.layers[0].self_residual.norm
    return torch.finfo(torch.float32).eps if norm.eps is None else norm.eps


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().contiguous().numpy()


def entries(tokenizer: Tokenizer) -> list[str]:
    """The vocabulary in the order of its ids, as CTranslate2 takes and gives tokens.

    >>> entries(Tokenizer.train(["a bat"], kind="word", vocab_size=9))
    ['<pad>', '<unk>', '<s>', '</s>', 'a', 'bat']
    """
    vocabulary = tokenizer.to_dict()["core"]["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.get)
