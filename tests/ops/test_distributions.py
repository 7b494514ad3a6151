"""Distributions: samples, densities, entropies, divergences and their gradients, beside torch's."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from tests.parity import requires_torch, torch


@requires_torch
@pytest.mark.parametrize("name", ["Normal", "Uniform", "Exponential", "Laplace", "LogNormal", "Bernoulli", "Geometric"])
def test_distributions(name):
    arguments = {"Normal": ([0.5, -1.0], [1.0, 2.0]), "Uniform": ([0.0, 1.0], [2.0, 1.5]), "Exponential": ([0.5, 2.0],),
                 "Laplace": ([0.5, -1.0], [1.0, 2.0]), "LogNormal": ([0.1, 0.2], [0.5, 0.3]),
                 "Bernoulli": ([0.3, 0.8],), "Geometric": ([0.3, 0.8],)}[name]  # fmt: skip
    results = []
    for lib in (npnn, torch):
        lib.manual_seed(1)
        d = getattr(lib.distributions, name)(*[lib.tensor(a) for a in arguments])
        x = d.sample((4,))
        found = [
            x,
            d.log_prob(x.clamp(0.1, 1.4) if name in ("Uniform", "LogNormal") else x),
            d.entropy(),
            d.mean,
            d.variance,
        ]
        results.append([f.numpy() for f in found])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@requires_torch
def test_categorical_independent_and_divergences():
    results = []
    for lib in (npnn, torch):
        lib.manual_seed(1)
        D = lib.distributions
        p, q = (lib.tensor(np.random.default_rng(s).uniform(0.1, 1, (3, 4)), requires_grad=True) for s in (0, 1))
        c = D.Categorical(p)
        x = c.sample((5,))
        loss = c.log_prob(x).sum() + c.entropy().sum() + D.kl_divergence(c, D.Categorical(q)).sum()
        n = D.Independent(D.Normal(p, q), 1)
        loss = loss + n.log_prob(n.rsample()).sum() + D.kl_divergence(n, D.Independent(D.Normal(q, p), 1)).sum()
        loss.backward()
        results.append([x.numpy(), loss.detach().numpy(), p.grad.numpy(), q.grad.numpy()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@requires_torch
@pytest.mark.parametrize("given", ["covariance_matrix", "precision_matrix", "scale_tril"])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_normal_vectors(given, batch):
    rng, results = np.random.default_rng(2), []
    loc, other = rng.standard_normal((*batch, 4)), rng.standard_normal(4)
    factor = np.tril(0.3 * rng.standard_normal((4, 4))) + np.diag(rng.uniform(0.5, 2, 4))
    matrix = factor if given == "scale_tril" else factor @ factor.T
    for lib in (npnn, torch):
        lib.manual_seed(1)
        MN = lib.distributions.MultivariateNormal
        m, A, n = (lib.tensor(a, requires_grad=True) for a in (loc, matrix, other))
        p, q = MN(m, **{given: A}), MN(n, lib.eye(4, dtype=lib.float64) * 2)
        x = p.rsample((5,))
        divergence = lib.distributions.kl_divergence(p, MN(n.expand(m.shape), q.covariance_matrix))
        loss = q.log_prob(x).sum() + p.log_prob(x.detach()).sum() + p.entropy().sum() + divergence.sum()
        loss.backward()
        found = [x, loss, p.mean, p.variance, p.covariance_matrix, p.precision_matrix]
        results.append([f.detach().numpy() for f in found] + [t.grad.numpy() for t in (m, A, n)])
        with pytest.raises(ValueError, match="Exactly one"):
            MN(m)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@requires_torch
@pytest.mark.parametrize("sample", [(), (4,), (2, 3)])
@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("form", ["probs", "logits"])
def test_counts_of_several_kinds(form, batch, sample):
    weights, results = np.random.default_rng(5).uniform(0.1, 1, (*batch, 6)), []
    for lib in (npnn, torch):
        lib.manual_seed(1)
        p = lib.tensor(weights, requires_grad=True)
        d = lib.distributions.Multinomial(20, **{form: p})
        x = d.sample(sample)
        loss = d.log_prob(x).sum()
        loss.backward()
        impossible = lib.distributions.Multinomial(2, lib.tensor([0.5, 0.5, 0.0], dtype=lib.float64))
        rest = impossible.log_prob(lib.tensor([1.0, 1.0, 0.0], dtype=lib.float64))
        results.append([f.detach().numpy() for f in (x, loss, rest, d.mean, d.variance)] + [p.grad.numpy()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)
