"""The picture of a forecast holds the numbers it was given."""

import numpy as np
import pytest

from heedful.visual.forecast import ForecastPicture, draw_forecast


def picture(series=2, **changes):
    random = np.random.default_rng(1)
    given = {
        "names": [f"$s_{number}$" for number in range(series)],
        "seen": random.random((6, series)),
        "forecast": random.random((4, series)),
        "times": ("2020", "2021", "2022"),
        "others": {"the last value": random.random((4, series))},
        "came": random.random((4, series)),
        "weights": random.random((4, 6)),
        "input_weights": random.random((6, series)),
    }
    return ForecastPicture(**{**given, **changes})


def test_it_draws_every_number():
    drawn = picture()
    figure = draw_forecast(drawn, "title")
    for place in range(2):
        lines = {line.get_label(): line.get_ydata() for line in figure.axes[place].lines}
        for name, values in (("forecast", drawn.forecast), ("what came", drawn.came), *drawn.others.items()):
            np.testing.assert_array_equal(lines[name], np.asarray(values)[:, place])
        np.testing.assert_array_equal(figure.axes[place].lines[1].get_ydata(), drawn.seen[:, place])
    images = [image.get_array() for axes in figure.axes for image in axes.images]
    np.testing.assert_array_equal(images[0], drawn.weights)
    np.testing.assert_array_equal(images[1], np.transpose(drawn.input_weights))
    assert len(draw_forecast(picture(9)).axes) == 8 + 2 * 2
    assert len(draw_forecast(picture(1, weights=None, input_weights=None, came=None, others={})).axes) == 1


@pytest.mark.parametrize(
    "odd", [{"weights": np.ones((6, 4))}, {"came": np.ones((3, 2))}, {"others": {"x": np.ones(2)}}]
)
def test_what_does_not_fit_is_refused(odd):
    with pytest.raises(ValueError, match=r"has shape .* expected \(4, "):
        picture(**odd)
