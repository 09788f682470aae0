"""The animation: one frame per snapshot, the last held, all of one size, and the hot cell where it belongs."""

import numpy as np
import pytest
from PIL import Image, ImageSequence

from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot, draw_frames, write_animation
from heedful.visual.style import RULE, SERIES

from .samples import hostile, one_hot


def learning(steps=(10, 50, 200)):
    """The model looks at the second word more and more."""
    tokens = (["a", "b", "c"], ["x", "y"])
    blends = np.linspace(0, 1, len(steps))
    weights = [(1 - blend) / 3 + blend * np.array([[0.0, 1, 0], [0, 0, 1]]) for blend in blends]
    return [Snapshot(step, Alignment(*tokens, w), {"BLEU": step / 10}) for step, w in zip(steps, weights, strict=True)]


def frames_of(path):
    with Image.open(path) as image:
        frames = [(frame.info["duration"], frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
        return frames, image.info.get("loop")


def test_one_frame_per_snapshot_the_last_held_and_it_repeats(tmp_path):
    path = write_animation(learning(), tmp_path / "learn.gif", seconds=0.5, hold=2.5)
    frames, loop = frames_of(path)
    assert [duration for duration, _ in frames] == [500, 500, 2500]
    assert loop == 0
    assert len({frame.size for _, frame in frames}) == 1


def test_one_snapshot_is_enough(tmp_path):
    frames, _ = frames_of(write_animation(learning((10,)), tmp_path / "learn.gif", hold=1.0))
    assert [duration for duration, _ in frames] == [1000]


def test_the_file_shows_the_frames_that_were_drawn(tmp_path):
    snapshots = learning()
    frames, _ = frames_of(write_animation(snapshots, tmp_path / "learn.gif"))
    for drawn, (_, stored) in zip(draw_frames(snapshots), frames, strict=True):
        difference = np.abs(np.asarray(drawn, dtype=int) - np.asarray(stored, dtype=int))
        assert difference.max(axis=-1).mean() < 0.5
        assert stored.getpixel((0, 0)) == (255, 255, 255)


def test_frames_darken_where_the_model_looks():
    first, _, last = (np.asarray(frame, dtype=int).sum(axis=-1) for frame in draw_frames(learning()))
    darker = np.argwhere(last < first - 250)
    # the two hot cells lie on a diagonal: down and to the right
    upper, lower = darker[darker[:, 0] < darker[:, 0].mean()], darker[darker[:, 0] > darker[:, 0].mean()]
    assert upper[:, 1].mean() < lower[:, 1].mean()


def test_translations_of_different_lengths_share_one_canvas():
    snapshots = [Snapshot(1, one_hot([0], 5)), Snapshot(2, one_hot([0, 1, 2, 3, 4, 4, 4], 5))]
    small, large = draw_frames(snapshots)
    assert small.size == large.size


def test_the_bar_below_shows_how_far_training_is():
    for step, frame in zip((10, 50, 200), draw_frames(learning()), strict=True):
        bar = np.asarray(frame)[-2]
        done = (np.abs(bar - np.array([int(SERIES[0][i : i + 2], 16) for i in (1, 3, 5)])).sum(axis=-1) < 9).mean()
        rest = (np.abs(bar - np.array([int(RULE[i : i + 2], 16) for i in (1, 3, 5)])).sum(axis=-1) < 9).mean()
        assert done == pytest.approx(step / 200, abs=0.02)
        assert rest == pytest.approx(1 - step / 200, abs=0.02)


def test_the_caption_tells_step_and_scores():
    alignment = one_hot([0], 2)
    assert (
        Snapshot(12345, alignment, {"BLEU": 20.449, "loss": 2.3456}).caption
        == "step 12,345   ·   BLEU 20.4   ·   loss 2.35"
    )
    assert Snapshot(0, alignment).caption == "step 0"


def test_step_zero_alone_and_hostile_tokens_can_be_drawn(tmp_path):
    assert write_animation([Snapshot(0, hostile())], tmp_path / "a.gif", title="$<").exists()


def test_no_snapshots_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there are no snapshots; expected at least one"):
        write_animation([], tmp_path / "learn.gif")
    assert not list(tmp_path.iterdir())
