"""How faithful a translator's attention is: pieces that are really gone, gradients by weights, all decoders."""

import numpy as np
import pytest
import torch
from torch import nn

from heedful._errors import DataError
from heedful.attention import AttentionOutput, LatentAttention
from heedful.data.vocabulary import BOS
from heedful.metrics.faithfulness import faithfulness
from heedful.models.encoders import EncoderOutput
from heedful.tasks import faithfulness as measured
from heedful.tasks.build import build_model
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.transformer_options import TransformerOptions
from heedful.tasks.translator import Translator

PAIR = "I love you, Tom.", "Je t'aime, Tom."


@pytest.fixture(scope="module")
def ids(small_run):
    sides = small_run.translator.tokenizers
    # a few steps are enough
    return sides.source.encode(PAIR[0]), sides.target.encode(PAIR[1])[:4]


def with_model(small_run, **options) -> Translator:
    """A translator of the same vocabulary whose weights are new."""
    sides = small_run.translator.tokenizers
    sizes = {"embedding_dim": 8, "units": 8, "transformer": TransformerOptions(heads=2, hidden_units=16)}
    model = build_model(ModelOptions(**sizes, **options), sides.source.vocab_size, sides.target.vocab_size)
    return Translator(model, sides, small_run.translator.recipe)


class Cut(nn.Module):
    """A model's steps over encoder outputs from which rows are gone, not hidden."""

    def __init__(self, model, source):
        super().__init__()
        self.model = model.eval()
        self.read = model.encoder(torch.tensor([source]), torch.tensor([len(source)]))

    def chance(self, before, answer, places, state):
        """Of a token, where only some places are left for this one step."""
        # with nothing to look at the context is zero: a row of zeros gives that, too
        left = self.read.outputs[:, sorted(places)] if places else torch.zeros_like(self.read.outputs[:, :1])
        mask = torch.ones(1, 1, left.shape[1], dtype=torch.bool)
        encoded = self.model.decoder.remember(EncoderOutput(left, self.read.summary), mask)
        output, _ = self.model.step(torch.tensor([before]), state, encoded)
        return float(output.logits.double().softmax(-1)[0, answer])


@torch.no_grad()
def test_a_hidden_piece_is_a_piece_that_is_gone(small_run, ids):
    source, target = ids
    model = small_run.translator.model
    cut, everything = Cut(model, source), list(range(len(source)))
    encoded = model.encode(torch.tensor([source]), torch.tensor([len(source)]))
    state, wanted, orders = model.start(encoded), [], []
    for before, answer in zip([BOS, *target[:-1]], target, strict=True):
        output, after = model.step(torch.tensor([before]), state, encoded, need_weights=True)

        def predict(texts, before=before, answer=answer, state=state):
            return np.array([[cut.chance(before, answer, text, state)] for text in texts])

        scores = output.weights[0].double().numpy()
        wanted.append(faithfulness(predict, everything, scores, draws=3))
        full = np.log(predict([everything])[0, 0])
        losses = [full - np.log(predict([everything[:place] + everything[place + 1 :]])[0, 0]) for place in everything]
        orders.append(tau(scores, np.round(losses, 5)))
        state = after
    found = measured.translator_faithfulness(small_run.translator, [ids], draws=3)
    assert list(found) == [measured.ATTENTION, measured.GRADIENT, measured.LEFT_OUT]
    for name in ("comprehensiveness", "sufficiency"):
        for kind in ("given", "shuffled", "reversed"):
            mean = np.mean([getattr(getattr(one, name), kind) for one in wanted])
            assert getattr(getattr(found[measured.ATTENTION], name), kind) == pytest.approx(mean, abs=1e-6)
    assert found[measured.ATTENTION].agreement == pytest.approx(np.nanmean(orders), abs=1e-6)
    assert found[measured.LEFT_OUT].agreement == pytest.approx(1)


def tau(first, second):
    """Kendall's tau-b, pair by pair."""
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    agree = sum(np.sign(first[i] - first[j]) * np.sign(second[i] - second[j]) for i, j in pairs)
    counts = [sum(side[i] != side[j] for i, j in pairs) for side in (first, second)]
    return agree / np.sqrt(counts[0] * counts[1])


class Leaf(nn.Module):
    """Attention whose weights are leaves of the graph, from which the context is computed."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.leaves = inner, []

    def remember(self, key, value=None, mask=None):
        return self.inner.remember(key, value, mask)

    def look(self, query, memory, state=None, need_weights=False):
        output, state = self.inner.look(query, memory, state, need_weights=True)
        self.leaves.append(output.weights.detach().requires_grad_())
        return AttentionOutput(self.leaves[-1] @ memory.value, self.leaves[-1]), state


def test_the_gradient_by_a_factor_on_a_value_is_that_by_its_weight(small_run, ids):
    source, target = ids
    translator = with_model(small_run, attention="luong")
    model = translator.model.eval()
    step = next(iter(measured._steps(model, source, target)))
    found = step.scores()[measured.GRADIENT]
    leaf = model.decoder.attention = Leaf(model.decoder.attention)
    encoded = model.encode(torch.tensor([source]), torch.tensor([len(source)]))
    output, _ = model.step(torch.tensor([BOS]), model.start(encoded), encoded)
    output.logits[0, target[0]].backward()
    weights = leaf.leaves[-1]
    assert found == pytest.approx((weights * weights.grad)[0, 0].detach().double().numpy(), abs=1e-6)
    assert np.abs(found).max() > 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "bahdanau"},
        {"attention": "coverage"},
        {"attention": "local_p"},
        {"attention": "forward"},
        {"attention": "multi_head"},
        {"attention": "luong", "wiring": "look_between", "decoder_layers": 2},
        {"architecture": "transformer"},
    ],
    ids=str,
)
def test_every_kind_of_decoder_is_measured(small_run, ids, options):
    translator = with_model(small_run, **options)
    found = measured.translator_faithfulness(translator, [ids], draws=1)
    rollout = [measured.ROLLOUT] if "architecture" in options else []
    assert list(found) == [measured.ATTENTION, measured.GRADIENT, *rollout, measured.LEFT_OUT]
    for one in found.values():
        assert all(np.isfinite(value) for value in one.numbers().values() if value is not None)
    assert found[measured.LEFT_OUT].agreement == pytest.approx(1)
    assert translator.model.training


def test_a_latent_memory_keeps_no_values_and_so_has_no_gradient_by_them(small_run, ids):
    translator = with_model(small_run, attention="multi_head")
    old = translator.model.decoder.attention
    sizes = {"latent_dim": 5, "rotary_dim": 2, "key_dim": old.key_dim}
    translator.model.decoder.attention = LatentAttention(old.query_dim, 2, **sizes)
    found = measured.translator_faithfulness(translator, [ids], draws=1)
    assert list(found) == [measured.ATTENTION, measured.LEFT_OUT]


def test_without_attention_or_without_a_token_there_is_nothing_to_measure(small_run, ids):
    with pytest.raises(DataError, match="has no attention to measure"):
        measured.translator_faithfulness(with_model(small_run, attention="none"), [ids])
    with pytest.raises(DataError, match="No pair has a token on both sides"):
        measured.translator_faithfulness(small_run.translator, [([], ids[1])])


@pytest.mark.parametrize(
    ("number", "shown", "unit"),
    [
        (0.25, "0.250", ""),
        (0.0042, "4.200", ", in thousandths"),
        (-4.2e-6, "-4.200", ", in millionths"),
        (-1e-12, "0.000", ", in millionths"),
        (0.0, "0.000", ""),
    ],
)
def test_small_changes_are_told_in_parts(number, shown, unit):
    table = measured.faithfulness_table({"attention": dict.fromkeys(measured.MEASURES, number) | {"agreement": 0.5}})
    assert table.title == f"Faithfulness{unit}: what the chance of a token loses"
    assert table.rows[0][1:] == [shown] * 6 + ["0.500"]
