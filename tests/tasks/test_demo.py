"""The demo: a fair twin, the files it promises, and an alignment that is followed while it learns."""

import json

import numpy as np
import pytest
from PIL import Image

from heedful._errors import HeedfulError
from heedful.data.bundled import load_pairs
from heedful.tasks import demo
from heedful.tasks.build import build_model
from heedful.tasks.side_by_side import LOG
from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot

TWIN = demo.RIVALS["none"].name


@pytest.mark.parametrize("rival", demo.RIVALS)
def test_a_rival_has_as_many_parameters_as_many_steps_and_as_much_time(tmp_path, rival):
    attention, twin = demo.demo_recipes(tmp_path, rival=rival)
    vocabulary = attention.tokenizer.vocab_size
    counts = [
        sum(parameter.numel() for parameter in build_model(recipe.model, vocabulary, vocabulary).parameters())
        for recipe in (attention, twin)
    ]
    assert abs(counts[1] / counts[0] - 1) < 0.02
    assert (twin.model.attention == "none") == (rival == "none")
    assert (twin.model.architecture == "transformer") == (rival == "transformer")
    assert attention.model.attention == "bahdanau"
    same = ("seed", "data", "tokenizer", "decoding")
    assert all(getattr(attention, name) == getattr(twin, name) for name in same)
    # the best rate is a model's own
    training = [recipe.training.model_dump(exclude={"learning_rate"}) for recipe in (attention, twin)]
    assert training[0] == training[1]
    assert attention.training.max_steps == max(demo.EXPECTED)
    assert attention.training.max_seconds < 200
    shorter = demo.demo_recipes(tmp_path, 3, seconds=7.0, steps=5)
    assert [(one.seed, one.training.max_seconds, one.training.max_steps) for one in shorter] == [(3, 7.0, 5)] * 2


def test_what_to_expect_is_told_between_measurements_alone(monkeypatch):
    monkeypatch.setattr(demo, "EXPECTED", {1000: 20.0, 2000: 26.0})
    assert [demo.expected_bleu(steps) for steps in (999, 1000, 1500, 2000, 2001)] == [None, 20.0, 23.0, 26.0, None]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (64, 4)])
def test_each_model_gets_half_of_the_cores(monkeypatch, cores, threads):
    monkeypatch.setattr(demo.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert demo.threads_of_each() == threads


def test_the_watched_pair_and_the_shown_sentences_are_not_in_the_training_pairs():
    pairs = load_pairs("tatoeba_en_fr", "train")
    assert demo.WATCHED[0] not in pairs.source
    assert not set(demo.SHOWN) & set(pairs.source)


def test_snapshots_are_read_in_order_without_a_line_that_is_on_its_way(tmp_path):
    rows = [
        {"step": step, "bleu": bleu, "source": ["a", "b"], "target": ["c"], "weights": [[weight, 1 - weight]]}
        for step, bleu, weight in ((0, 0.0, 0.5), (800, 9.0, 0.9), (400, 4.0, 0.7), (800, 9.5, 0.95))
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 1200, "ble'
    (tmp_path / demo.SNAPSHOTS).write_text(text, encoding="utf-8")
    found = demo.read_snapshots(tmp_path)
    assert [one.step for one in found] == [0, 400, 800]
    assert found[-1].scores == {"BLEU": 9.5}
    assert found[-1].alignment.weights.tolist() == [[0.95, 1 - 0.95]]
    assert demo.read_snapshots(tmp_path / "nowhere") == []


def test_the_spread_of_looks_is_one_everywhere_and_zero_at_one_word():
    flat, sharp = (Snapshot(0, Alignment(["a", "b"], ["c"], np.array(weights))) for weights in ([[0.5, 0.5]], [[0, 1]]))
    assert demo.entropy_of(flat) == pytest.approx(1)
    assert demo.entropy_of(sharp) == pytest.approx(0)


def test_a_demo_of_a_few_steps_writes_all_it_promises(tmp_path):
    seen = []
    result = demo.run_demo(tmp_path, steps=5, watch=lambda *folders: seen.append(folders))
    assert seen[0] == (tmp_path, tmp_path / "twin")
    assert all(path.exists() for path in result.written)
    assert [one.name for one in result.contestants] == [demo.ATTENTION, TWIN]
    assert all(len(one.translations) == len(load_pairs("tatoeba_en_fr", "test")) for one in result.contestants)
    assert [one.steps for one in result.contestants] == [result.planned] * 2 == [5, 5]
    assert result.snapshots[0].step == 0
    assert len(result.snapshots) >= 2
    with Image.open(tmp_path / "alignment.gif") as animation:
        assert animation.n_frames == len(result.snapshots)
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores[demo.ATTENTION]["BLEU"]["value"] == pytest.approx(result.contestants[0].scores[0].value)
    assert set(scores[TWIN]["BLEU by source words"]) == {"3-5", "6-9", "10+"}


def test_a_training_that_fails_says_which_why_and_where_its_log_is(tmp_path, capfd):
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "training").write_text("in the way", encoding="utf-8")
    with pytest.raises(HeedfulError, match=r"training is a file, not a folder; choose .*\. Its log is ") as caught:
        demo.run_demo(tmp_path, seconds=30.0)
    assert str(caught.value).startswith(f"The training of 'demo, {TWIN}' failed: OutputError: ")
    assert str(caught.value).endswith(f" Its log is {twin / LOG}.")
    assert capfd.readouterr() == ("", "")
