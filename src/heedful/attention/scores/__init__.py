"""How alike are query and key? One file each."""

from .additive import AdditiveScore as AdditiveScore
from .additive import NormalizedAdditiveScore as NormalizedAdditiveScore
from .base import Score as Score
from .concat import ConcatScore as ConcatScore
from .content_bias import ContentBiasScore as ContentBiasScore
from .coverage import CoverageScore as CoverageScore
from .dot import DotScore as DotScore
from .general import GeneralScore as GeneralScore
from .location_sensitive import LocationSensitiveScore as LocationSensitiveScore
from .paired import PairedScore as PairedScore
from .scaled_dot import ScaledDotScore as ScaledDotScore
from .sine import SineScore as SineScore
from .transition import TransitionScore as TransitionScore
