"""Convolutions over pixels: where padding ends, which pixels a region sees, and what does not fit."""

import pytest
import torch

from heedful.decoding import Constraints, Decoding, Ensemble, Penalties, beam_search
from heedful.models import ConvolutionalEncoder, RecurrentEncoder
from heedful.models.convolutional import halved
from heedful.tasks.build import build_captioner
from heedful.tasks.model_options import ModelOptions
from tests.tolerances import assert_close

STRIDES = [(2, 2), (2, 1), (2, 2)]


@pytest.mark.parametrize("above", [False, True])
def test_what_stands_behind_a_line_has_no_influence(above):
    reader = RecurrentEncoder(None, 7, 5) if above else None
    encoder = ConvolutionalEncoder(11, 1, [3, 4, 6], STRIDES, 7, lines=True, above=reader).double().eval()
    source, lengths = torch.randn(2, 13, 11, dtype=torch.float64), torch.tensor([13, 6])
    source[1, 6:] = float("nan")
    both, alone = encoder(source, lengths), encoder(source[1:, :6])
    assert encoder.regions_of(lengths).tolist() == [4, 2]
    assert both.outputs.shape == (2, 4, encoder.output_dim)
    assert_close(both.outputs[1:, :2], alone.outputs)
    assert_close(both.summary[1:], alone.summary)
    assert not both.outputs[1, 2:].any()


def test_regions_of_a_grid_stand_row_after_row_and_see_their_place():
    encoder = ConvolutionalEncoder(16, 3, [4, 5], [(2, 2), (2, 2)], 6).double().eval()
    source = torch.randn(1, 24, 48, dtype=torch.float64)  # 24 columns of 16 pixels, red, green and blue
    before = encoder(source)
    assert before.outputs.shape == (1, 4 * 6, 6)
    assert encoder.regions_of(torch.tensor([24])).tolist() == [24]
    changed = source.clone()
    changed.unflatten(-1, (16, 3))[:, 21, 9] += 1  # column 21, row 9: region [2, 5]
    differs = (encoder(changed).outputs != before.outputs).any(-1)[0].unflatten(0, (4, 6))
    assert differs[2, 5]
    # two convolutions of three pixels, one of stride two, see seven: no further than the next region
    assert not differs[0].any()
    assert not differs[:, :4].any()
    one = nn_by_hand(encoder, source.unflatten(-1, (16, 3)).permute(0, 3, 2, 1))
    assert_close(before.outputs[0].unflatten(0, (4, 6)), one)
    assert_close(before.summary, before.outputs.mean(1))


def nn_by_hand(encoder, picture):
    """The same, one place after another, of a picture [1, 3, rows, columns]: [rows, columns, features]."""
    hidden = picture[0]
    for convolution, norm in zip(encoder.convolutions, encoder.norms, strict=True):
        padded = torch.nn.functional.pad(hidden, (1, 1, 1, 1))
        rows, columns = (size // 2 for size in hidden.shape[1:])
        grid = [
            [
                (convolution.weight * padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]).sum((1, 2, 3))
                + convolution.bias
                for column in range(columns)
            ]
            for row in range(rows)
        ]
        features = torch.stack([torch.stack(row) for row in grid])
        centred = features - features.mean(-1, keepdim=True)
        features = centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias
        hidden = features.clamp_min(0).permute(2, 0, 1)
    return hidden.permute(1, 2, 0) @ encoder.project.weight.T + encoder.project.bias


def test_a_model_over_pixels_writes_and_looks_at_its_regions():
    picture = {"height": 16, "width": 24, "channels": [4, 5], "grey": True}
    options = ModelOptions(encoder="convolutional", picture=picture, embedding_dim=8, units=8, dropout=0.0)
    model = build_captioner(options, vocab=11).eval()
    weights = model.align(torch.randn(2, 24, 16), torch.tensor([24, 24]), torch.tensor([[2, 4, 5], [2, 6, 7]]))
    assert weights.shape == (2, 3, 4 * 6)
    picture |= {"width": None, "recurrent_layers": 1, "width_halvings": 1}
    changes = {"picture": picture, "attention": "location", "wiring": "bahdanau", "score": None}
    model = build_captioner(ModelOptions.model_validate(options.model_dump() | changes), vocab=11).eval()
    weights = model.align(torch.randn(2, 9, 16), torch.tensor([9, 4]), torch.tensor([[2, 4, 5], [2, 6, 7]]))
    assert weights is not None
    assert weights.shape == (2, 3, 5)
    assert not weights[1, :, 2:].any()


@pytest.mark.parametrize(
    ("picture", "lengths", "regions"),
    [
        ({"height": 32, "width": 24}, [24, 24], [8 * 6, 8 * 6]),
        ({"height": 16, "width": None, "width_halvings": 1}, [9, 4], [5, 2]),
    ],
)
def test_a_search_knows_how_many_regions_there_are(picture, lengths, regions):
    picture |= {"channels": [4, 5], "grey": True}
    options = ModelOptions(encoder="convolutional", picture=picture, embedding_dim=8, units=8, dropout=0.0)
    model = build_captioner(options, vocab=11)
    source = torch.randn(2, max(lengths), picture["height"])
    how = Decoding(beam=2, need_weights=True, constraints=Constraints(4, 4), penalties=Penalties(coverage=0.2))
    for searched in (model, Ensemble([model, model])):
        for (best, *_), number in zip(beam_search(searched, source, torch.tensor(lengths), how), regions, strict=True):
            assert best.weights.shape == (len(best.tokens), number)
            assert_close(best.weights.sum(1), torch.ones(len(best.tokens)))


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    assert [halved(size, [2, 2]) for size in (1, 4, 5, 8, 9)] == [1, 1, 2, 2, 3]
    with pytest.raises(ValueError, match="2 channels and 1 strides; give one of each"):
        ConvolutionalEncoder(8, 1, [4, 4], [(2, 2)], 5)
    with pytest.raises(ValueError, match="several widths; scale them to one, or take them for lines"):
        ConvolutionalEncoder(8, 1, [4], [(2, 2)], 5)(torch.zeros(2, 6, 8), torch.tensor([6, 5]))
