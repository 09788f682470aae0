"""Searches, sampling, ensembles and choices: one file each, over any model that offers a step."""

from .beam import beam_search as beam_search
from .constraints import Constraints as Constraints
from .decode import decode as decode
from .diverse_beam import diverse_beam_search as diverse_beam_search
from .ensemble import Ensemble as Ensemble
from .greedy import greedy as greedy
from .hypothesis import Hypothesis as Hypothesis
from .minimum_bayes_risk import expected_utilities as expected_utilities
from .minimum_bayes_risk import minimum_bayes_risk as minimum_bayes_risk
from .options import Decoding as Decoding
from .options import Sampling as Sampling
from .penalties import Penalties as Penalties
from .penalties import coverage_penalty as coverage_penalty
from .penalties import overcoverage_penalty as overcoverage_penalty
from .sampling import sample as sample
