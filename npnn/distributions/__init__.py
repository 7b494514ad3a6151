"""Probability distributions under torch's names: samples, densities, entropies, divergences."""

from npnn.distributions.base import Distribution, Independent
from npnn.distributions.continuous import Exponential, Laplace, LogNormal, Normal, Uniform
from npnn.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical, Poisson
from npnn.distributions.divergence import kl_divergence
from npnn.distributions.multivariate import Multinomial, MultivariateNormal

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Geometric",
    "Independent",
    "Laplace",
    "LogNormal",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Poisson",
    "Uniform",
    "kl_divergence",
]
