"""Which target tokens may be said: for every source token those most often aligned to it, and the most frequent ones.

Jean et al. 2015 (https://arxiv.org/abs/1412.2007), section 3.4. Alignments by IBM model 1 (Brown et al. 1993), counted
over the training pairs; it needs no model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from heedful.data.vocabulary import SPECIAL_TOKENS
from heedful.decoding.constraints import Constraints
from heedful.decoding.hypothesis import Hypothesis

# target tokens kept for each source token, and of the most frequent ones
MOST, FREQUENT = 100, 256
_ROUNDS = 5
# pairs whose links are in memory at once: about a gigabyte for those of thirty tokens a side
_BLOCK = 20_000


@dataclass(frozen=True)
class Shortlist:
    """Candidates learnt from pairs.

    Attributes:
        aligned: `[source_vocab, candidates]`, ids of target tokens, most probable first; 0 where there is none.
        frequent: `[FREQUENT]`, ids of the most frequent target tokens.
    """

    aligned: Tensor
    frequent: Tensor

    def ids(self, source: Iterable[int], count: int, besides: Iterable[int] = ()) -> Tensor:
        """What may be said over these source tokens, ascending, special tokens first.

        Args:
            source: ids of source tokens.
            count: candidates of each.
            besides: ids that are needed anyway.

        >>> shortlist = Shortlist(torch.tensor([[0], [0], [0], [0], [9], [7]]), torch.tensor([5]))
        >>> shortlist.ids([4, 5], 1, besides=[8])
        tensor([0, 1, 2, 3, 5, 7, 8, 9])
        """
        aligned = self.aligned[torch.tensor(sorted(set(source)), dtype=torch.long), :count].flatten()
        needed = torch.tensor([*range(len(SPECIAL_TOKENS)), *besides])
        return torch.cat((aligned, self.frequent, needed)).unique()


def learn_shortlist(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], sizes: tuple[int, int]
) -> Shortlist:
    """Five rounds of IBM model 1, with a NULL word on the source side, whose place is the id of padding.

    Args:
        sources: ids of each source sentence.
        targets: ids of its translation.
        sizes: of the two vocabularies.

    >>> learn_shortlist([[4, 5], [4]], [[6, 7], [6]], (6, 8)).aligned[5, :2]
    tensor([7, 6])
    """
    num_source, num_target = sizes
    pairs = [(s, t) for s, t in zip(sources, targets, strict=True) if len(t)]
    # links are made anew in each round, so that those of one block alone are in memory
    blocks = [pairs[first : first + _BLOCK] for first in range(0, len(pairs), _BLOCK)]
    kinds = np.zeros(0, np.int64)
    for block in blocks:
        kinds = np.union1d(kinds, _links(block, num_target)[0])
    chance = np.full(len(kinds), 1.0)
    for _ in range(_ROUNDS if len(kinds) else 0):
        counts = np.zeros(len(kinds))
        for block in blocks:
            links, width = _links(block, num_target)
            place = np.searchsorted(kinds, links)
            share = chance[place]
            share /= np.repeat(np.add.reduceat(share, np.cumsum(width) - width), width)
            counts += np.bincount(place, share, len(kinds))
        chance = counts / np.bincount(kinds // num_target, counts, num_source)[kinds // num_target]
    aligned = _best(kinds // num_target, kinds % num_target, chance, num_source)
    frequency = np.zeros(num_target, np.int64)
    for block in blocks:
        frequency += np.bincount(np.concatenate([t for _, t in block]), minlength=num_target)
    frequent = (-frequency).argsort(kind="stable")[:FREQUENT]
    return Shortlist(torch.from_numpy(aligned), torch.from_numpy(frequent))


def _links(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], num_target: int) -> tuple[np.ndarray, np.ndarray]:
    """A number for each target token and each word of its source, those of a token together; and how many it has."""
    source = np.concatenate([np.tile([0, *s], len(t)) for s, t in pairs]).astype(np.int64)
    target = np.concatenate([np.repeat(t, len(s) + 1) for s, t in pairs]).astype(np.int64)
    width = np.concatenate([np.full(len(t), len(s) + 1) for s, t in pairs])
    return source * num_target + target, width


def _best(source: np.ndarray, target: np.ndarray, chance: np.ndarray, num_source: int) -> np.ndarray:
    """The `MOST` most probable targets of each source token."""
    aligned = np.zeros((num_source, MOST), np.int64)
    order = np.lexsort((target, -chance, source))
    source, target = source[order], target[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    kept = rank < MOST
    aligned[source[kept], rank[kept]] = target[kept]
    return aligned


def needed_ids(constraints: Constraints) -> list[int]:
    """Ids that must be sayable: of the prefix, and of what is required."""
    return [*constraints.prefix, *(token for phrase in constraints.required for token in phrase)]


def renumbered(constraints: Constraints, ids: Tensor) -> Constraints:
    """The same constraints by the places of `ids`; what is banned and cannot be said anyway is left out."""
    place = {token: number for number, token in enumerate(ids.tolist())}
    phrases = [run if isinstance(run, tuple) else (run,) for run in constraints.banned]
    return replace(
        constraints,
        banned=tuple(tuple(place[one] for one in run) for run in phrases if all(one in place for one in run)),
        prefix=tuple(place[token] for token in constraints.prefix),
        required=tuple(tuple(place[token] for token in run) for run in constraints.required),
    )


def original(hypothesis: Hypothesis, ids: Tensor) -> Hypothesis:
    """The same hypothesis, its tokens by their own ids again."""
    return replace(hypothesis, tokens=[int(ids[token]) for token in hypothesis.tokens])
