"""How alike are query and key? One file each."""

from .additive import AdditiveScore as AdditiveScore
from .additive import NormalizedAdditiveScore as NormalizedAdditiveScore
from .base import Score as Score
from .biaffine import BiaffineScore as BiaffineScore
from .bilinear import BilinearScore as BilinearScore
from .concat import ConcatScore as ConcatScore
from .content_bias import ContentBiasScore as ContentBiasScore
from .cosine import CosineScore as CosineScore
from .coverage import CoverageScore as CoverageScore
from .distance import DistanceScore as DistanceScore
from .dot import DotScore as DotScore
from .dynamic_convolution import DynamicConvolutionScore as DynamicConvolutionScore
from .gated_additive import GatedAdditiveScore as GatedAdditiveScore
from .gaussian_mixture import GaussianMixtureScore as GaussianMixtureScore
from .general import GeneralScore as GeneralScore
from .linear import LinearScore as LinearScore
from .linguistic_coverage import LinguisticCoverageScore as LinguisticCoverageScore
from .location import LocationScore as LocationScore
from .location_sensitive import LocationSensitiveScore as LocationSensitiveScore
from .neural_coverage import NeuralCoverageScore as NeuralCoverageScore
from .paired import PairedScore as PairedScore
from .scaled_dot import ScaledDotScore as ScaledDotScore
from .sine import SineScore as SineScore
from .softcap import SoftcapScore as SoftcapScore
from .transition import TransitionScore as TransitionScore
from .trilinear import TrilinearScore as TrilinearScore
