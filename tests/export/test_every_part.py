"""Scores, windows and normalisers without state in onnxruntime: the numbers of heedful, for any batch and length."""

import os

import pytest
import torch
from torch import nn

from heedful._errors import ExportError
from heedful.attention import Attention
from heedful.attention.normalizers import FusedmaxNormalizer
from heedful.attention.scores import GeneralScore
from heedful.export.onnx import write_graphs
from heedful.export.programs import one_graph
from heedful.export.trees import quiet
from heedful.functional import padding_mask
from tests.attention.test_normalizers import NORMALIZERS
from tests.attention.test_scores import SCORES
from tests.attention.test_windows import WINDOWS
from tests.export.small import Onnx, shake
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

AXES = {
    "query": ("batch", "queries", 11),
    "key": ("batch", "keys", 11),
    "value": ("batch", "keys", 7),
    "lengths": ("batch",),
}
# torch takes seconds to write each into a graph, so all are tried by hand: HEEDFUL_EXPORT_ALL=1
FEW = {"DistanceScore", "TopKNormalizer"}
PARTS = {
    "scores": [Attention(row.build()) for row in SCORES],
    "windows": [Attention(GeneralScore(4, 6), row.build()) for row in WINDOWS],
    "normalisers": [Attention(GeneralScore(4, 6), None, row.build()) for row in NORMALIZERS],
}


def name_of(attention):
    return {type(one).__name__ for one in (attention.score, attention.window, attention.normalizer)}


class Together(nn.Module):
    """Attentions that look at the same, in one graph, since making one takes most of the time."""

    def __init__(self, attentions):
        super().__init__()
        self.attentions = nn.ModuleList(attentions)

    def forward(self, query, key, value, lengths):
        mask, found = padding_mask(lengths, key.shape[1]), {}
        for place, one in enumerate(self.attentions):
            output = one(query[..., : one.query_dim], key[..., : one.key_dim], value, mask, need_weights=True)
            found |= {f"context_{place}": output.context, f"weights_{place}": output.weights}
        return found


def inputs(batch, queries, keys):
    lengths = torch.tensor([max(1, keys - 2 * place) for place in range(batch)])
    return torch.randn(batch, queries, 11), torch.randn(batch, keys, 11), torch.randn(batch, keys, 7), lengths


def written(attentions, folder):
    """The attentions, and their graph in onnxruntime."""
    pytest.importorskip("onnxscript")
    torch.manual_seed(3)
    together = shake(Together(attentions))
    given = zip(AXES, zip(inputs(2, 3, 5), AXES.values(), strict=True), strict=True)
    with torch.no_grad(), quiet():
        write_graphs(folder, {}, one_graph(together, dict(given)))
    return together, Onnx(folder, "model")


@torch.no_grad()
@pytest.mark.parametrize("kind", ["few", *PARTS])
def test_onnxruntime_has_the_same_weights_and_contexts(kind, tmp_path):
    if kind != "few" and not os.environ.get("HEEDFUL_EXPORT_ALL"):
        pytest.skip("HEEDFUL_EXPORT_ALL=1 tries all parts")
    attentions = [one for parts in PARTS.values() for one in parts] if kind == "few" else PARTS[kind]
    attentions = [one for one in attentions if not one.stateful and "FusedmaxNormalizer" not in name_of(one)]
    together, graph = written([one for one in attentions if kind != "few" or name_of(one) & FEW], tmp_path)
    for sizes in ((2, 3, 5), (3, 4, 7), (1, 1, 6)):
        given = inputs(*sizes)
        found = graph(*given)
        for name, expected in together(*given).items():
            assert_close(found[name], expected)


class Least(nn.Module):
    """What fusedmax needs, and ONNX lacks."""

    def forward(self, scores):
        return {"least": scores.cummin(-1).values}


@torch.no_grad()
def test_what_onnx_has_no_operator_for_is_refused_in_one_sentence(tmp_path):
    pytest.importorskip("onnxscript")
    fusedmax = Together([Attention(GeneralScore(4, 6), None, FusedmaxNormalizer())]).eval()
    given = dict(zip(AXES, zip(inputs(2, 3, 5), AXES.values(), strict=True), strict=True))
    program = one_graph(fusedmax, given).programs["model"]
    assert any("cummin" in str(node.target) for node in program.graph.nodes)
    graphs = one_graph(Least(), {"scores": (torch.randn(2, 5), ("batch", "keys"))})
    said = "needs torch.cummin, which ONNX does not have; export to torch instead, or train with another"
    with quiet(), pytest.raises(ExportError, match=said):
        write_graphs(tmp_path, {}, graphs)
    assert not list(tmp_path.iterdir())
