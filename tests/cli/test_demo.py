"""`heedful demo`: what it shows while two models learn, and says in the end; the learning is tested elsewhere."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from heedful._errors import HeedfulError
from heedful.cli._demo_screen import Screen, last_validation, print_report, told_expectation
from heedful.metrics.translation import LengthScore, Score
from heedful.tasks import demo
from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot

TWIN = demo.RIVALS["none"].name


def contestant(name: str, value: float) -> demo.Contestant:
    buckets = [LengthScore(3, 5, 7, Score("BLEU", value + 1, "s")), LengthScore(10, None, 0, None)]
    scores = [Score("BLEU", value, "s"), Score("chrF2", 2 * value, "s")]
    return demo.Contestant(name, 1_234_567, 1500, 180.0, ["Oui."], scores, buckets)


def terminal(shown: io.StringIO) -> Console:
    return Console(file=shown, width=100, force_terminal=True, _environ={"TERM": "xterm"})


@pytest.fixture
def result(tmp_path):
    snapshots = [
        Snapshot(step, Alignment(["I", "see"], ["je", "vois"], np.array(weights)), {"BLEU": 20.0})
        for step, weights in ((0, [[0.5, 0.5], [0.5, 0.5]]), (400, [[1.0, 0.0], [0.0, 1.0]]))
    ]
    contestants = [contestant(demo.ATTENTION, 21.5), contestant(TWIN, 12.25)]
    samples = [("I [see].", "Je [vois].", "Je.")]
    return demo.DemoResult(tmp_path, contestants, 2000, samples, snapshots, {tmp_path / "model": "the translator"})


def write_validation(run: Path, step: int, bleu: float) -> None:
    path = run / "training" / "validations.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not path.stat().st_size:
            writer.writerow(["step", "loss", "bleu", "weights"])
        writer.writerow([step, 3.21, bleu, "step"])


def test_it_runs_what_was_asked_and_says_what_it_wrote(run, result, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(demo, "run_demo", lambda *args: asked.append(args[:4]) or result)
    outcome = run("demo", "--output", tmp_path, "--seed", 4, "--seconds", 30, "--steps", 300)
    assert (outcome.code, asked) == (0, [(tmp_path, 4, 30.0, 300)])
    assert "300 steps each, or what they make in 30 s" in outcome.err
    for text in (demo.ATTENTION, TWIN, "21.5", "12.2", "43.0", "1,234,567", "3-5 words", "I [see].", "vois"):
        assert text in outcome.out
    assert f"Wrote {tmp_path}/model: the translator\n" in outcome.err
    assert f"heedful translate {tmp_path}" in outcome.err


def test_a_failure_and_ctrl_c_end_with_1(run, monkeypatch, tmp_path):
    def fail(*_):
        raise HeedfulError("one of them fell asleep")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", fail)
    outcome = run("demo", "--output", tmp_path)
    assert (outcome.code, outcome.err.splitlines()[-1]) == (1, "Error: one of them fell asleep")
    monkeypatch.setattr(demo, "run_demo", stop)
    outcome = run("demo", "--output", tmp_path)
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == "Stopped; the same command goes on."


def test_without_a_terminal_each_validation_is_one_line(tmp_path):
    lines = io.StringIO()
    screen = Screen(2000, 30.0, TWIN, Console(file=lines, width=200))
    with screen:
        screen.watch(tmp_path / "a", tmp_path / "b")
        for step in (400, 400, 800):
            if last_validation(tmp_path / "a") is None or step == 800:
                write_validation(tmp_path / "a", step, step / 100)
            screen.watch(tmp_path / "a", tmp_path / "b")
    assert lines.getvalue().splitlines() == [
        f"{demo.ATTENTION}: step 400   loss 3.21   BLEU 4.0",
        f"{demo.ATTENTION}: step 800   loss 3.21   BLEU 8.0",
    ]


def test_a_terminal_gets_both_runs_and_the_alignment(tmp_path, result):
    write_validation(tmp_path / "a", 400, 4.0)
    (row,) = [one for one in result.snapshots if one.step == 400]
    sides = {"source": row.alignment.source, "target": row.alignment.target, "weights": row.alignment.weights.tolist()}
    (tmp_path / "a" / demo.SNAPSHOTS).write_text(json.dumps({"step": 400, "bleu": 4.0, **sides}) + "\n")
    shown = io.StringIO()
    with Screen(
        2000, 180.0, TWIN, Console(file=shown, width=100, force_terminal=True, _environ={"TERM": "xterm"})
    ) as screen:
        screen.watch(tmp_path / "a", tmp_path / "b")
        screen.live.refresh()
    for text in ("step 400   loss 3.21   BLEU 4.0", "reading the pairs ...", "s of learning left", "vois"):
        assert text in shown.getvalue()


def test_a_run_that_learns_says_so_before_its_first_validation(tmp_path):
    shown = io.StringIO()
    (tmp_path / "a" / "training").mkdir(parents=True)
    (tmp_path / "a" / "training" / "batches.csv").touch()
    with Screen(
        2000, 180.0, TWIN, Console(file=shown, width=100, force_terminal=True, _environ={"TERM": "xterm"})
    ) as screen:
        screen.watch(tmp_path / "a", tmp_path / "b")
        screen.live.refresh()
    lines = shown.getvalue().splitlines()
    for name, state in ((demo.ATTENTION, "learning ..."), (TWIN, "reading the pairs ...")):
        assert any(name in line and state in line for line in lines)


def test_the_last_validation_is_that_of_a_step_and_not_of_a_mean(tmp_path):
    write_validation(tmp_path, 400, 4.0)
    with (tmp_path / "training" / "validations.csv").open("a") as file:
        file.write("400,3.0,5.0,average\n")
    row = last_validation(tmp_path)
    assert row is not None
    assert row["bleu"] == "4.0"


def test_the_report_says_what_was_reached_what_to_expect_and_why(result, monkeypatch):
    monkeypatch.setattr(demo, "EXPECTED", {1000: 20.0, 2000: 26.0})
    one = result.contestants[0]
    assert told_expectation(one, 2000) == (
        "BLEU 21.5 after 1,500 steps in 3:00, 8.3 a second. To expect after so many: about 23, within 1 by seed and "
        "processor. This machine had no time for all 2,000, which give about 26: heedful demo --seconds 240 --output "
        "longer."
    )
    assert told_expectation(replace(one, steps=2000), 2000).endswith("about 26, within 1 by seed and processor.")
    short = told_expectation(replace(one, steps=0, seconds=0.0), 300)
    assert short.startswith("BLEU 21.5 after 0 steps in 0:00. This machine had no time for all 300: heedful demo ")
    screen = io.StringIO()
    print_report(Console(file=screen, width=80), result)
    assert "To expect after so many: about 23" in " ".join(screen.getvalue().split())


def test_the_bars_follow_the_steps_where_they_are_faster_than_the_clock(tmp_path):
    shown = io.StringIO()
    path = tmp_path / "a" / "training" / "batches.csv"
    path.parent.mkdir(parents=True)
    path.write_text("step,loss\n1,3.0\n1500,2.0\n16")
    assert demo.steps_made(tmp_path / "a") == 1500
    assert demo.steps_made(tmp_path / "b") == 0
    with Screen(2000, 1000.0, TWIN, terminal(shown)) as screen:
        screen.watch(tmp_path / "a", tmp_path / "a")
        screen.started -= 30
        screen.watch(tmp_path / "a", tmp_path / "a")
        screen.live.refresh()
    assert "about 10 s of learning left" in shown.getvalue()


def test_the_report_fits_a_terminal_of_eighty(result):
    screen = io.StringIO()
    print_report(Console(file=screen, width=80), result)
    assert max(map(len, screen.getvalue().splitlines())) <= 80
