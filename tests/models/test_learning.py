"""Every wiring learns: twenty sentences by heart in a few steps, and says them again."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from heedful.data.vocabulary import BOS, EOS, PAD
from heedful.decoding import greedy
from tests.models.tiny import SOURCE_VOCAB, WIRINGS, fresh_model_of

PAIRS = 20


def _pairs():
    lengths = torch.arange(PAIRS) % 4 + 2
    source = torch.randint(4, SOURCE_VOCAB, (PAIRS, 5))
    source[torch.arange(5) >= lengths[:, None]] = PAD
    target = torch.cat((source, torch.full((PAIRS, 1), PAD)), 1)
    target[torch.arange(PAIRS), lengths] = EOS
    return source, lengths, target


@pytest.mark.parametrize("wiring", WIRINGS)
def test_twenty_sentences_are_learnt_by_heart(wiring):
    model = fresh_model_of(wiring, scale=5)
    source, lengths, target = _pairs()
    target_in = torch.cat((torch.full((PAIRS, 1), BOS), target[:, :-1]), 1).masked_fill(target == PAD, PAD)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    loss = torch.tensor(torch.inf)
    for _ in range(100):
        optimiser.zero_grad()
        loss = cross_entropy(model(source, lengths, target_in).flatten(0, 1), target.flatten(), ignore_index=PAD)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if loss < 0.02:
            break
    assert loss < 0.1
    for hypothesis, ids, length in zip(greedy(model, source, lengths), source.tolist(), lengths.tolist(), strict=True):
        assert hypothesis.finished
        assert hypothesis.tokens == ids[:length]
