"""The part of a recipe that is about forecasts: what is seen, what is forecast, and what it is added to."""

from typing import Literal

from pydantic import Field, model_validator

from .data_options import DataOptions, DataPart, Section


class ForecastOptions(Section):
    """What only a forecaster has.

    Args:
        window: Rows that are seen.
        horizon: Rows behind them that are forecast, all at once.
        patch: Rows that the encoder reads at a time, a part of the window; 1 as in Qin et al. 2017.
        base: The simple forecast that the network adds to: "last", the last value of each series, or "linear", one
            linear map of the window for all series, solved in closed form on the rows that are learnt from.
        input_attention: What the encoder looks at the series with, at each step: "bahdanau" (Qin et al. 2017), "luong"
            or "sine"; "none" reads all of them as they are.
    """

    window: int = Field(default=96, gt=1, le=100_000)
    horizon: int = Field(default=24, gt=0, le=100_000)
    patch: int = Field(default=1, gt=0)
    base: Literal["last", "linear"] = "last"
    input_attention: Literal["bahdanau", "luong", "sine", "none"] = "bahdanau"

    @model_validator(mode="after")
    def _whole_patches(self) -> "ForecastOptions":
        if self.window % self.patch:
            raise ValueError(f"window {self.window} is not cut evenly by patch {self.patch}; make it a multiple")
        return self


def check_forecast(data: DataOptions, encoder: str, decoder: str, bidirectional: bool) -> None:
    """Refuse data that are no single table, and an encoder-decoder that forecasts nothing.

    Raises:
        ValueError: says what came, and the way out.
    """
    one = data.train if isinstance(data.train, DataPart) else None
    if one is None or not (one.csv or one.tsv) or data.valid or data.test:
        raise ValueError(
            "a forecast learns from one table, data.train={csv: mine.csv} or tsv, whose rows data.series.split shares "
            "out; name no other, nor data.valid and data.test"
        )
    if one.columns != [0, 1]:
        raise ValueError("the columns of a forecast are series; name them as data.series.columns, such as [HUFL, OT]")
    if (encoder, decoder) != ("recurrent", "recurrent") or bidirectional:
        raise ValueError(
            f"a forecaster is recurrent and reads forwards, but the encoder is {encoder!r}, the decoder "
            f"{decoder!r} and bidirectional {str(bidirectional).lower()}; leave the first two out, "
            "and set model.bidirectional: false"
        )
