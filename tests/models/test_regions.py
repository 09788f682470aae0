"""Regions of pictures as a source: every region by itself, padding without influence, every decoder over them."""

import pytest
import torch

from heedful.decoding import Decoding, decode
from heedful.functional import TokenTarget
from heedful.models import RegionEncoder, RegionProjection
from heedful.tasks.build import build_captioner
from heedful.tasks.model_options import ModelOptions
from tests.tolerances import assert_close


def test_every_region_is_projected_by_itself_and_the_summary_is_their_mean():
    encoder = RegionEncoder(RegionProjection(5, 3)).double().eval()
    pictures, lengths = torch.randn(2, 4, 5, dtype=torch.float64), torch.tensor([4, 3])
    pictures[1, 3] = float("nan")
    encoded = encoder(pictures, lengths)
    weight, bias = encoder.projection.project.weight, encoder.projection.project.bias
    for picture, length in enumerate(lengths.tolist()):
        rows = []
        for region in range(length):
            rows.append(weight @ pictures[picture, region] + bias)
            assert_close(encoded.outputs[picture, region], rows[-1])
        assert_close(encoded.summary[picture], sum(rows) / length)
    assert encoded.outputs[1, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("encoder", "decoder", "attention"),
    [
        ("regions", "recurrent", "visual"),
        ("recurrent", "transformer", "luong"),
        ("transformer", "recurrent", "none"),
    ],
)
def test_every_decoder_writes_over_regions_and_padding_has_no_influence(encoder, decoder, attention):
    options = {"feature_dim": 5, "embedding_dim": 8, "units": 8, "dropout": 0.0, "transformer": {"heads": 2}}
    options = ModelOptions(encoder=encoder, decoder=decoder, attention=attention, **options)
    model = build_captioner(options, vocab=11).double().eval()
    pictures, lengths = torch.randn(2, 6, 5, dtype=torch.float64), torch.tensor([6, 4])
    target_in = torch.tensor([[2, 4, 5], [2, 6, 7]])
    both = model(pictures, lengths, target_in)
    alone = model(pictures[1:, :4], lengths[1:], target_in[1:])
    assert_close(both[1:], alone)
    found = decode(model, pictures, lengths, Decoding(beam=2, need_weights=attention != "none"))
    assert len(found) == 2
    if attention != "none":
        assert found[1][0].weights.shape[1] in (4, 6)


@pytest.mark.parametrize("decoder", ["recurrent", "transformer"])
def test_looks_that_leave_regions_out_cost_in_training_alone(decoder):
    sizes = {"feature_dim": 5, "embedding_dim": 8, "units": 8, "dropout": 0.0, "transformer": {"heads": 2}}
    options = ModelOptions(encoder="regions", decoder=decoder, even_looks=0.7, **sizes)
    model = build_captioner(options, vocab=11)
    pictures, lengths = torch.randn(2, 6, 5), torch.tensor([6, 4])
    target_in, target = torch.tensor([[2, 4, 5], [2, 6, 0]]), TokenTarget(torch.tensor([[4, 5, 3], [6, 3, 0]]), 0.0, 0)
    weights = model.align(pictures, lengths, target_in)
    assert weights is not None
    plain, dear = (
        model.eval()(pictures, lengths, target_in, target=target),
        model.train()(pictures, lengths, target_in, target=target),
    )
    cost = sum((1 - weights[0, :, key].sum()) ** 2 for key in range(6))
    cost = cost + sum((1 - weights[1, :2, key].sum()) ** 2 for key in range(4))
    assert_close(dear.total, plain.total + 0.7 * cost)
    assert (dear.tokens, dear.correct) == (plain.tokens, plain.correct)
