"""Whether the words before that a language model looked at are what it needed: they are left out of the text before."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from heedful._errors import DataError
from heedful.data.batching import pad
from heedful.data.vocabulary import BOS
from heedful.metrics.evidence import attention_rollout
from heedful.metrics.faithfulness import faithfulness, rank_agreement
from heedful.models.language_model import SelfLookDecoder
from heedful.models.seq2seq import mean_of_heads

from .faithfulness import ATTENTION, GRADIENT, LEFT_OUT, ROLLOUT, Faithful, has_values, mean_faithful, scaled
from .language_model import Writer
from .looking import evaluated


def writer_faithfulness(writer: Writer, texts: Sequence[Sequence[int]], draws: int = 10) -> dict[str, Faithful]:
    """Measure attention, gradient x attention and, of a Transformer, rollout, token by token.

    For each token of a text but the first, tokens before it are erased: the model reads the text without them, `<s>`
    stays. The scores are what the last token before it looked at; of a Transformer, the mean over layers and heads, and
    the sum of gradient x attention over them.

    Args:
        writer: with attention.
        texts: ids of each.
        draws: random orders beside which the scores stand.

    Returns:
        The measures by name of the scores, means over tokens; the last are those of leaving one token out.

    Raises:
        DataError: there is no attention, or no text has two tokens.
    """
    if not writer.looks_back:
        raise DataError("The model has no attention to measure; give one that looks back.")
    found: dict[str, list[Faithful]] = {}
    for text in texts:
        scores = _scores(writer, text) if len(text) > 1 else {}
        for end in range(1, len(text)):
            own = {name: rows[end, 1 : end + 1] for name, rows in scores.items()}
            for name, one in _measure(writer, list(text[:end]), text[end], own, draws).items():
                found.setdefault(name, []).append(one)
    if not found:
        raise DataError("No text has two tokens; give at least two words.")
    return {name: mean_faithful(measured) for name, measured in found.items()}


def _measure(
    writer: Writer, before: list[int], answer: int, scores: dict[str, np.ndarray], draws: int
) -> dict[str, Faithful]:
    """How faithful scores of the tokens before are to the one that follows."""

    def chances(texts: list[list[int]]) -> np.ndarray:
        ids, lengths = pad(texts, before=[BOS])
        device = next(writer.model.parameters()).device
        with evaluated(writer.model):
            # padding behind a text changes nothing before it
            logits = writer.model(ids.to(device))[torch.arange(len(ids)), lengths - 1]
        return logits.double().log_softmax(-1)[:, answer].cpu().numpy()

    full, *without = chances([before, *(before[:place] + before[place + 1 :] for place in range(len(before)))])
    # tokens that are not looked at differ by rounding alone
    worth = (full - np.array(without)).round(5)
    found = {}
    for name, own in {**scores, LEFT_OUT: worth}.items():
        measured = faithfulness(lambda texts: np.exp(chances(texts))[:, None], before, own, draws=draws)
        found[name] = Faithful(measured.comprehensiveness, measured.sufficiency, rank_agreement(own, worth))
    return found


def _scores(writer: Writer, text: Sequence[int]) -> dict[str, np.ndarray]:
    """Every kind of scores, [1 + tokens, 1 + tokens] each: what each token, `<s>` first, draws on."""
    tokens = torch.tensor([[BOS, *text]], device=next(writer.model.parameters()).device)
    with evaluated(writer.model):
        looked = writer.model.look(tokens)
    found = {ATTENTION: mean_of_heads(looked)[0].double().cpu().numpy()}
    if isinstance(writer.model.decoder, SelfLookDecoder):
        if (gradient := _gradients(writer, tokens)) is not None:
            found[GRADIENT] = gradient
    else:
        found[GRADIENT] = _layer_gradients(writer, tokens)
        layers = looked[0].double().cpu().numpy()
        found[ROLLOUT] = attention_rollout(list(layers))[-1]
    return found


def _gradients(writer: Writer, tokens: torch.Tensor) -> np.ndarray | None:
    """`w * d logit / d w` of each token, as the gradient by a factor on its value; the logit is that of the next token.

    The context is the sum of weights times values, so both are the same; the sum over heads.
    """
    model = writer.model
    decoder: SelfLookDecoder = model.decoder
    with evaluated(model, gradients=True):
        begun = model.encode(tokens[:, :0], tokens.new_zeros(len(tokens))).decoder
        hidden, _ = decoder.recurrent(model.embedding(tokens), begun.recurrent)
        count = tokens.shape[1]
        # a factor of its own for each row, in a batch of as many
        factor = torch.ones(count, count, 1, device=hidden.device, requires_grad=True)
        rows = hidden.expand(count, -1, -1)
        memory: Any = decoder.look_back.remember(rows)
        if not has_values(memory):
            return None
        memory = scaled(memory, factor)
        context = decoder.look_back.look(rows, memory, None)[0].context
        places = torch.arange(count)
        features = torch.tanh(decoder.combine(torch.cat((context[places, places], hidden[0]), -1)))
        following = torch.cat((tokens[0, 1:], tokens[0, :1]))
        logits = model.output(features.unsqueeze(0))[0][places, following]
        (gradient,) = torch.autograd.grad(logits.sum(), factor)
    return gradient[..., 0].double().cpu().numpy()


def _layer_gradients(writer: Writer, tokens: torch.Tensor) -> np.ndarray:
    """The same of a Transformer: of what each token looked at in any layer, the sum over layers and heads."""
    model, count = writer.model, tokens.shape[1]
    stack, found = model.decoder.stack, np.zeros((count, count))
    with evaluated(model, gradients=True):
        # what follows the last one is not known
        for end in range(1, count):
            factor = torch.ones(end, 1, device=tokens.device, requires_grad=True)
            steps = stack.enter(model.embedding(tokens[:, :end]))
            for layer in stack.layers:
                steps = _layer(layer, steps, factor)
            logit = model.output(stack.norm(steps))[0, -1, tokens[0, end]]
            found[end - 1, :end] = torch.autograd.grad(logit, factor)[0][:, 0].double().cpu().numpy()
    return found


def _layer(layer: Any, steps: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """A decoder layer without a source, where values have a factor each for what the last step looks at."""
    entering = layer.self_residual.enter(steps)
    memory = scaled(layer.self_attention.remember(entering), factor)
    look, _ = layer.self_attention.look(entering, memory)
    steps = layer.self_residual.join(steps, look.context)
    steps = layer.feed_residual.join(steps, layer.feed_forward(layer.feed_residual.enter(steps)))
    # what earlier steps looked at is another row's
    return torch.cat((steps[:, :-1].detach(), steps[:, -1:]), 1)
