"""The recurrent encoder that a graph can hold, beside the packed one."""

import pytest
import torch

from heedful.export.recurrent import read_recurrent
from heedful.layers import TokenEmbedding
from heedful.models import RecurrentEncoder
from tests.tolerances import assert_close


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize(
    ("layers", "bidirectional", "merge"), [(1, False, "concat"), (2, True, "sum"), (3, True, "concat")]
)
@torch.no_grad()
def test_it_reads_as_the_packed_one(cell, layers, bidirectional, merge):
    torch.manual_seed(3)
    encoder = RecurrentEncoder(TokenEmbedding(11, 3), 3, 5, cell, layers, bidirectional, merge).double().eval()
    for parameter in encoder.rnn.parameters():
        parameter.normal_()
    source, lengths = torch.randint(1, 11, (4, 7)), torch.tensor([7, 1, 4, 2])
    expected, actual = encoder(source, lengths), read_recurrent(encoder, source, lengths)
    assert_close(actual.outputs, expected.outputs)
    assert_close(actual.summary, expected.summary)
