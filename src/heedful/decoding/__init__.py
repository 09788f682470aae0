"""Greedy, beam, sampling: one file each, over any model that offers a step."""

from .beam import beam_search as beam_search
from .constraints import Constraints as Constraints
from .greedy import greedy as greedy
from .hypothesis import Hypothesis as Hypothesis
from .penalties import coverage_penalty as coverage_penalty
from .sampling import sample as sample
