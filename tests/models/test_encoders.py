"""The recurrent encoder against a loop of cells, and what may have no influence on it."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.layers import TokenEmbedding
from heedful.models import RecurrentEncoder, encoders
from tests.models import oracles
from tests.tolerances import assert_close

VOCAB, DIM, UNITS = 11, 3, 5
# one direction has nothing to merge; both names are allowed there and mean the same
KINDS = list(itertools.product(("gru", "lstm"), (1, 2, 3), (False, True), ("concat", "sum")))
each_kind = pytest.mark.parametrize(("cell", "layers", "bidirectional", "merge"), KINDS)


def encoder_of(cell="gru", layers=1, bidirectional=True, merge="concat", dropout=0.0):
    torch.manual_seed(1)
    embedding = TokenEmbedding(VOCAB, DIM)
    encoder = RecurrentEncoder(embedding, DIM, UNITS, cell, layers, bidirectional, merge, dropout).double()
    with torch.no_grad():  # zero biases would hide a bias that is forgotten
        for parameter in encoder.rnn.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return encoder


def padded(sentences, extra=0):
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    width = int(lengths.max()) + extra
    return torch.tensor([sentence + [0] * (width - len(sentence)) for sentence in sentences]), lengths


SENTENCES = [[4, 5], [6, 7, 8, 9, 10], [10], [5, 1, 5]]


@each_kind
def test_outputs_summary_and_gradients_are_those_of_a_loop_of_cells(cell, layers, bidirectional, merge):
    encoder = encoder_of(cell, layers, bidirectional, merge)
    result = encoder(*padded(SENTENCES, extra=2))
    assert result.outputs.shape == (4, 7, encoder.output_dim)
    expected = [oracles.encode(encoder, sentence) for sentence in SENTENCES]
    rows = [torch.stack(outputs) for outputs, _ in expected]
    for row, outputs in enumerate(rows):
        assert_close(result.outputs[row, : len(outputs)], outputs)
        assert result.outputs[row, len(outputs) :].eq(0).all()
    summary = torch.stack([summary for _, summary in expected])
    assert_close(result.summary, summary)
    parameters = list(encoder.parameters())
    mine = torch.autograd.grad(result.outputs.square().sum() + result.summary.sin().sum(), parameters)
    theirs = torch.autograd.grad(sum(row.square().sum() for row in rows) + summary.sin().sum(), parameters)
    for ours, other in zip(mine, theirs, strict=True):
        assert_close(ours, other)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_long_sources_give_the_same_and_their_padding_may_hold_anything(monkeypatch, cell, bidirectional):
    monkeypatch.setattr(encoders, "LONG", 3)
    test_outputs_summary_and_gradients_are_those_of_a_loop_of_cells(cell, 1, bidirectional, "concat")
    encoder = encoder_of(cell, 1, bidirectional)
    encoder.embedding = torch.nn.Identity()
    source, lengths = torch.randn(2, 4, DIM, dtype=torch.float64), torch.tensor([4, 2])
    wanted = [encoder(source[row : row + 1, :length]).outputs for row, length in enumerate(lengths)]
    source[1, 2:] = torch.nan
    found = encoder(source, lengths).outputs
    assert_close(found[1, :2], wanted[1][0])
    assert_close(found[0], wanted[0][0])
    assert all(one.isfinite().all() for one in torch.autograd.grad(found.sum(), list(encoder.rnn.parameters())))


@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_summary_is_the_last_state_forwards_and_the_first_backwards(layers, merge):
    """A GRU's output is its state: of the last real token forwards, of the first backwards."""
    encoder = encoder_of("gru", layers, merge="concat")
    encoder.sum_directions = merge == "sum"
    result = encoder(*padded(SENTENCES))
    encoder.sum_directions = False
    both = encoder(*padded(SENTENCES)).outputs
    last = torch.tensor([len(sentence) - 1 for sentence in SENTENCES])
    forwards, backwards = both[torch.arange(4), last, :UNITS], both[:, 0, UNITS:]
    expected = forwards + backwards if merge == "sum" else torch.cat((forwards, backwards), -1)
    assert_close(result.summary, expected)


@given(data=st.data())
def test_neither_padding_nor_neighbours_nor_their_order_have_influence(data):
    sentences = data.draw(st.lists(st.lists(st.integers(1, VOCAB - 1), min_size=1, max_size=7), min_size=1, max_size=5))
    order = data.draw(st.permutations(range(len(sentences))))
    extra = data.draw(st.integers(0, 3))
    encoder = encoder_of(data.draw(st.sampled_from(["gru", "lstm"])), layers=2)
    together = encoder(*padded([sentences[i] for i in order], extra))
    for place, i in enumerate(order):
        alone = encoder(*padded([sentences[i]]))
        assert_close(together.outputs[place, : len(sentences[i])], alone.outputs[0])
        assert_close(together.summary[place], alone.summary[0])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_what_stands_at_padding_has_no_influence_even_nan(cell):
    encoder = encoder_of(cell, layers=2)
    source, lengths = padded(SENTENCES, extra=1)
    results = []
    for filler in (0.0, float("nan")):
        with torch.no_grad():
            encoder.embedding.weight[0] = filler
        result = encoder(source, lengths)
        gradients = torch.autograd.grad(result.outputs.sum() + result.summary.sum(), list(encoder.parameters()))
        results.append((result.outputs, result.summary, *gradients))
    for zeros, nans in zip(*results, strict=True):
        assert_close(nans, zeros)


def test_dropout_works_in_training_only():
    encoder, same = encoder_of(layers=2, dropout=0.5), encoder_of(layers=2)
    source, lengths = padded(SENTENCES)
    first, second = encoder(source, lengths).outputs, encoder(source, lengths).outputs
    assert not torch.equal(first, second)
    assert first[:, 0].eq(0).any()
    encoder.eval()
    assert torch.equal(encoder(source, lengths).outputs, same(source, lengths).outputs)


def test_dropout_stands_between_layers_and_on_the_outputs_not_on_the_summary():
    source, lengths = padded(SENTENCES)
    single = encoder_of(dropout=0.5)
    summaries = [single(source, lengths).summary for _ in range(2)]
    assert torch.equal(*summaries)
    double = encoder_of(layers=2, dropout=0.5)
    summaries = [double(source, lengths).summary for _ in range(2)]
    assert not torch.equal(*summaries)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_fast_way_is_the_way_of_torch(bidirectional, monkeypatch):
    results, encoder = [], encoder_of(bidirectional=bidirectional).float()
    for fast in (True, False):
        monkeypatch.setattr(encoders, "suits_gru", lambda *_, fast=fast: fast)
        results.append(encoder(*padded(SENTENCES, extra=2)))
    assert_close(results[0].outputs, results[1].outputs)
    assert_close(results[0].summary, results[1].summary)


@pytest.mark.parametrize("lengths", [torch.tensor([2, 5, 1, 3]), torch.tensor([2, 5, 1, 3], dtype=torch.int32)])
def test_lengths_may_be_any_integers_and_the_sentences_in_any_order(lengths):
    encoder = encoder_of()
    source, expected = padded(SENTENCES)
    assert_close(encoder(source, lengths).outputs, encoder(source, expected).outputs)


@pytest.mark.messages
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (
            [2, 0, 1, 3],
            r"lengths go from 0 to 3; expected 1 to 5, the width of source. Look at sentence 1,.* leave empty",
        ),
        ([2, 6, 1, 3], r"lengths go from 1 to 6; expected 1 to 5"),
        ([2, 5, 1], r"lengths has shape \(3,\); expected \[4\], one number for each sentence"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    source, _ = padded(SENTENCES)
    with pytest.raises(ValueError, match=message):
        encoder_of()(source, torch.tensor(lengths))


@pytest.mark.messages
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, "cell is 'rnn'; expected 'gru' or 'lstm'"),
        ({"merge": "mean"}, "merge is 'mean'; expected 'concat' or 'sum'"),
        ({"layers": 0}, "layers is 0; expected at least 1"),
        ({"units": 0}, "units is 0; expected at least 1"),
        ({"embedding_dim": 4}, r"embedding_dim is 4; expected 3, the features of the embedding"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentEncoder(TokenEmbedding(VOCAB, DIM), **{"embedding_dim": DIM, "units": UNITS, **options})
