"""Heat maps side by side, and frames joined."""

import numpy as np
import pytest
from PIL import Image

from heedful.visual.grids import draw_grids, join_frames, write_grids


def test_each_panel_shows_its_numbers_on_the_common_scale():
    panels = {"attention": np.full((3, 5), 0.25), "its largest": np.eye(3, 5)}
    images = [axes.images[0] for axes in draw_grids(panels).axes]
    for image, numbers in zip(images, panels.values(), strict=True):
        assert np.array_equal(image.get_array(), numbers)
        assert image.get_clim() == (0, 1)


def test_titles_and_captions_may_hold_anything_and_the_same_picture_has_the_same_bytes(tmp_path):
    panels = {"$x_1$ _ 日本": np.zeros((2, 3))}
    first, second = (write_grids(panels, tmp_path / name, "a$b", "c_d").read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")


@pytest.mark.parametrize("numbers", [np.ones(3), np.ones((0, 3)), -np.ones((2, 3)), np.full((2, 3), np.nan)])
def test_what_cannot_be_drawn_is_refused(numbers):
    with pytest.raises(
        ValueError, match=r"panel 'a' has shape .*; expected \[rows, steps\] of finite numbers from 0 up"
    ):
        draw_grids({"a": numbers})


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there are no panels; expected at least one"):
        draw_grids({})
    with pytest.raises(ValueError, match=r"there are no frames; expected at least one picture"):
        join_frames([], tmp_path / "look.gif")


def test_frames_come_in_their_order_and_the_last_one_stays(tmp_path):
    frames = [write_grids({"a": np.eye(3, 5, k)}, tmp_path / f"{k}.png") for k in (0, 1, 2)]
    with Image.open(join_frames(frames, tmp_path / "look.gif", seconds=0.2, hold=1.0)) as picture:
        durations = []
        for place in range(picture.n_frames):
            picture.seek(place)
            durations.append(picture.info["duration"])
            picture.load()
    assert durations == [200, 200, 1000]
