"""Probability distributions under torch's names: samples, densities, entropies, divergences."""

from npnn.distributions.base import Distribution, Independent
from npnn.distributions.continuous import Exponential, Laplace, LogNormal, Normal, Uniform
from npnn.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical, Poisson
from npnn.distributions.divergence import kl_divergence

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Geometric",
    "Independent",
    "Laplace",
    "LogNormal",
    "Normal",
    "OneHotCategorical",
    "Poisson",
    "Uniform",
    "kl_divergence",
]
