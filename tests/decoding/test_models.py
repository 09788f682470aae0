"""The searches over the real models: every wiring, its state and its memory."""

import pytest
import torch

from heedful.data.vocabulary import EOS
from heedful.decoding import Constraints, Decoding, Sampling, beam_search, greedy, sample
from tests.models.tiny import LOOKING, WIRINGS, model_of

from .toys import looks, pad, reference_beam

SENTENCES = [[4, 9, 7], [5], [6, 4, 4, 8, 10, 7, 5], [7, 7]]
LIMITS = Constraints(max_length=9, no_repeat_ngram=3)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_beam_over_a_model_equals_the_reference_beam(wiring, cell):
    model = model_of(wiring, cell, layers=2)
    found = beam_search(
        model, *pad(SENTENCES, extra=2), Decoding(beam=4, nbest=4, constraints=LIMITS, need_weights=True)
    )
    with torch.no_grad():
        expected = [reference_beam(model, torch.tensor(sentence), 4, 0.6, LIMITS)[:4] for sentence in SENTENCES]
    for hypotheses, others in zip(found, expected, strict=True):
        assert [one.tokens + [EOS] * one.finished for one in hypotheses] == [other.tokens for other in others]
        for one, other in zip(hypotheses, others, strict=True):
            assert one.score == pytest.approx(other.score(0.6), abs=1e-9)
            if wiring in LOOKING:
                looked = torch.tensor(other.weights, dtype=torch.float64)[: len(one.tokens)]
                torch.testing.assert_close(looks(one), looked.reshape(looks(one).shape), rtol=0, atol=1e-9)
            else:
                assert one.weights is None


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_hypothesis_has_the_log_probs_of_teacher_forcing(wiring):
    model, (source, lengths) = model_of(wiring, dropout=0.5), pad(SENTENCES)
    how = Decoding(sampling=Sampling(generator=torch.Generator().manual_seed(1)), constraints=LIMITS)
    found = [
        *greedy(model, source, lengths, how),
        *(drawn for (drawn,) in sample(model, source, lengths, how)),
    ]
    model.eval()
    for place, one in enumerate(found):
        row = place % len(SENTENCES)
        said = one.tokens + [EOS] * one.finished
        target_in = torch.tensor([[2, *said[:-1]]])
        with torch.no_grad():
            logits = model(source[row : row + 1, : lengths[row]], lengths[row : row + 1], target_in)
        expected = logits[0].log_softmax(-1)[torch.arange(len(said)), said]
        assert one.log_probs == pytest.approx(expected.tolist(), abs=1e-9)
