"""`heedful demo`: what it shows while models learn, what it says in the end, how it is stopped. Nothing learns here."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from heedful.cli._demo_screen import Screen, last_validation
from heedful.metrics.translation import LengthScore, Score
from heedful.tasks import demo
from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot

HEADER = "step,epoch,seconds,weights,best,loss,bleu\n"


@pytest.fixture
def runs(tmp_path):
    """Two runs: one has been validated twice, of the other there is nothing yet."""
    folder = tmp_path / "attention"
    (folder / "training").mkdir(parents=True)
    table = HEADER + "400,1,9,step,1,3.5,4.25\n800,1,19,step,1,2.75,12.5\n800,1,19,average,0,2.5,13.5\n"
    (folder / "training" / "validations.csv").write_text(table)
    row = {"step": 800, "bleu": 12.5, "source": ["red", "meat"], "target": ["viande"], "weights": [[0.25, 0.75]]}
    (folder / demo.SNAPSHOTS).write_text(json.dumps(row) + "\n")
    return folder, tmp_path / "twin"


def test_the_last_validation_is_that_of_a_step_and_not_of_a_mean(runs):
    found = [last_validation(run) for run in runs]
    assert found[0] is not None
    assert (found[0]["step"], found[0]["bleu"]) == ("800", "12.5")
    assert found[1] is None


def test_a_file_gets_one_line_for_each_validation(runs):
    text = io.StringIO()
    with Screen(180.0, Console(file=text, width=100)) as screen:
        screen.watch(*runs)
        screen.watch(*runs)
    assert text.getvalue() == f"{demo.ATTENTION}: step 800   loss 2.75   BLEU 12.5\n"


def test_a_terminal_gets_both_runs_and_the_alignment(runs):
    text = io.StringIO()
    with Screen(180.0, Console(file=text, width=100, force_terminal=True, _environ={"TERM": "xterm"})) as screen:
        screen.watch(*runs)
        screen.live.refresh()
    shown = text.getvalue()
    for words in ("step 800   loss 2.75   BLEU 12.5", "reading the pairs ...", "s of learning left", "viande"):
        assert words in shown


def test_the_report_has_both_models_and_says_where_everything_is(run, tmp_path, monkeypatch):
    def contestant(name, bleu):
        parts = [LengthScore(3, 5, 2, Score("BLEU", bleu, "s")), LengthScore(6, None, 0, None)]
        scores = [Score("BLEU", bleu, "s"), Score("chrF2", 2 * bleu, "s")]
        return demo.Contestant(name, 1_234_567, 9.0, ["un", "deux"], scores, parts)

    def run_demo(folder, seed, seconds, watch):
        assert (folder, seed, seconds) == (tmp_path / "tour", 3, 7.0)
        snapshots = [Snapshot(0, Alignment(["a", "b"], ["c"], np.array([[0.5, 0.5]])), {"BLEU": 0.0})]
        samples = [("I love [you].", "Je t'aime.", "Bonjour.")]
        contestants = [contestant(demo.ATTENTION, 21.25), contestant(demo.TWIN, 9.75)]
        return demo.DemoResult(folder, contestants, samples, snapshots, {folder / "model": "the translator"})

    monkeypatch.setattr(demo, "run_demo", run_demo)
    outcome = run("demo", "--output", tmp_path / "tour", "--seed", "3", "--seconds", "7")
    assert outcome.code == 0
    for words in ("Held-out pairs (2)", "1,234,567", "42.5", "21.2", "9.8", "I love [you].", "0: 1.00"):
        assert words in outcome.out
    assert "Two models learn side by side for 7 s" in outcome.err
    assert f"Wrote {tmp_path}/tour/model: the translator" in outcome.err
    assert outcome.err.rstrip().endswith(f"| heedful translate {tmp_path}/tour")


def test_ctrl_c_says_how_it_goes_on(run, tmp_path, monkeypatch):
    def run_demo(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", run_demo)
    outcome = run("demo", "--output", tmp_path)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1] == "Stopped; the same command goes on."
