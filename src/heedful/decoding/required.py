"""What every output must hold: phrases of several tokens, said wherever the model finds it best.

Hypotheses are compared with those that have said as much of what is required (Hokamp and Liu 2017), and the beam is
shared out among these banks (Post and Vilar 2018). Every bank gives its best hypothesis, then its second best, and so
on, the fullest bank first, until the beam is full: what a bank cannot use goes to the others. All that is needed is
computed from the tokens said, so there is no state to carry.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.data.vocabulary import EOS, PAD

from ._rows import spread, top
from .constraints import NEVER
from .phrases import ends_with, holds

Phrases = Sequence[tuple[int, ...]]


def progress(
    said: Int[Tensor, "rows steps"], phrases: Phrases
) -> tuple[Bool[Tensor, "rows phrases"], Int[Tensor, "rows phrases"]]:
    """Which phrases each row holds, and with how many tokens of each of the others it ends.

    >>> progress(torch.tensor([[7, 5, 6, 8]]), [(5, 6), (6, 8, 9)])
    (tensor([[ True, False]]), tensor([[0, 2]]))
    """
    met = torch.stack([holds(said, phrase) for phrase in phrases], 1)
    begun = torch.zeros(met.shape, dtype=torch.long, device=said.device)
    for column, phrase in enumerate(phrases):
        for size in range(1, len(phrase)):
            begun[:, column] = torch.where(ends_with(said, phrase[:size]), size, begun[:, column])
    return met, begun.masked_fill(met, 0)


def banks(said: Int[Tensor, "rows steps"], phrases: Phrases) -> Int[Tensor, " rows"]:
    """How many tokens of what is required each row has said: of phrases it holds, and of one that it is saying.

    >>> banks(torch.tensor([[7, 5, 6, 8], [7, 7, 7, 7]]), [(5, 6), (8, 9)])
    tensor([3, 0])
    """
    met, begun = progress(said, phrases)
    sizes = torch.tensor([len(phrase) for phrase in phrases], device=said.device)
    return (met * sizes).sum(1) + begun.amax(1)


def leave_room(
    log_probs: Float[Tensor, "rows vocabulary"],
    said: Int[Tensor, "rows steps"],
    limits: Int[Tensor, " rows"],
    phrases: Phrases,
) -> Float[Tensor, "rows vocabulary"]:
    """No EOS before everything required is said, and no token behind which the rest and EOS would not fit.

    Args:
        log_probs: of the next token.
        said: what each row has said.
        limits: the most tokens of each row, EOS among them.
        phrases: what is required; none holds another.
    """
    total = sum(map(len, phrases))
    met, _ = progress(said, phrases)
    sizes = torch.tensor([len(phrase) for phrase in phrases], device=said.device)
    missing = total - (met * sizes).sum(1)
    allowed = log_probs.clone()
    allowed[:, EOS] = torch.where(missing == 0, log_probs[:, EOS], NEVER)
    room = (limits - said.shape[1] - 2).clamp_min(0)  # behind the next token, and before EOS
    rows = (missing > room).nonzero()[:, 0]
    if len(rows):
        useful = torch.tensor(sorted({token for phrase in phrases for token in phrase}), device=said.device)
        fits = total - banks(children(said[rows], useful.expand(len(rows), -1)), phrases).view(len(rows), -1)
        kept = allowed[rows][:, useful].masked_fill(fits > room[rows, None], NEVER)
        allowed[rows] = torch.full_like(allowed[rows], NEVER).index_copy(1, useful, kept)
    return allowed


def allocated_children(
    totals: Float[Tensor, " rows"],
    log_probs: Float[Tensor, "rows vocabulary"],
    sentence: Int[Tensor, " rows"],
    places: Int[Tensor, " batch"],
    beam: int,
    said: Int[Tensor, "rows steps"],
    phrases: Phrases,
) -> tuple[Int[Tensor, " new"], Int[Tensor, " new"]]:
    """Parent row and token of `places[i]` continuations of each sentence `i`, shared out among the banks.

    The candidates of a row are its `beam` best continuations, and those that begin or continue a phrase.

    Args:
        totals: sum of the log-probabilities of each row.
        log_probs: of its next token.
        sentence: to which sentence each row belongs, in rising order.
        places: how many continuations each sentence keeps.
        beam: the most rows that one sentence has.
        said: what each row has said.
        phrases: what is required.
    """
    values, tokens = top(log_probs, beam)
    met, begun = progress(said, phrases)
    wanted = torch.stack([said.new_tensor(phrase)[begun[:, column]] for column, phrase in enumerate(phrases)], 1)
    wanted = wanted.masked_fill(met, PAD)  # which nobody can say
    tokens = torch.cat((tokens, wanted), 1)
    first = (wanted[:, :, None] == tokens[:, None]).int().argmax(2)
    again = first < values.shape[1] + torch.arange(len(phrases), device=said.device)
    values = torch.cat((values, log_probs.gather(1, wanted).masked_fill(again, NEVER)), 1)
    filled = banks(children(said, tokens), phrases).view(tokens.shape)
    scores = spread(totals[:, None] + values, sentence, len(places), beam).flatten(1)
    bank = spread(filled.to(values), sentence, len(places), beam).flatten(1).clamp_min(0).long()
    order = turns(scores, bank)[:, :beam]
    chosen = torch.arange(order.shape[1], device=order.device) < places[:, None]
    owner, column = (chosen & (scores.gather(1, order) > NEVER)).nonzero(as_tuple=True)
    place, choice = order[owner, column] // tokens.shape[1], order[owner, column] % tokens.shape[1]
    parent = torch.searchsorted(sentence, owner) + place
    return parent, tokens[parent, choice]


def turns(
    scores: Float[Tensor, "batch candidates"], bank: Int[Tensor, "batch candidates"]
) -> Int[Tensor, "batch candidates"]:
    """The candidates of each sentence in the order in which they get a place in the beam, the impossible ones last.

    >>> turns(torch.tensor([[-1.0, -2.0, -3.0, -4.0]]), torch.tensor([[0, 0, 2, 2]]))
    tensor([[2, 0, 3, 1]])
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked = bank.gather(1, order)
    banks = int(bank.max()) + 1
    rank = torch.nn.functional.one_hot(ranked, banks).cumsum(1).gather(2, ranked[..., None])[..., 0]
    turn = (rank * banks - ranked).masked_fill(scores.gather(1, order) == NEVER, torch.iinfo(torch.long).max)
    return order.gather(1, turn.argsort(dim=1, stable=True))


def children(
    said: Int[Tensor, "rows steps"], tokens: Int[Tensor, "rows choices"]
) -> Int[Tensor, "rows_times_choices longer"]:
    """Every row with each of its tokens behind it.

    >>> children(torch.tensor([[7], [8]]), torch.tensor([[1, 2], [3, 4]])).tolist()
    [[7, 1], [7, 2], [8, 3], [8, 4]]
    """
    return torch.cat((said.repeat_interleave(tokens.shape[1], 0), tokens.reshape(-1, 1)), 1)
