"""Layers and functions that are made of others, beside torch: values, gradients, and state_dict keys."""

from __future__ import annotations

import numpy as np
import pytest

import npnn
from tests.parity import assert_module_matches_torch, equal_modules, random_input, requires_torch, torch

A, B, C = random_input((5, 4)), random_input((5, 4), seed=1), random_input((5, 4), seed=2)
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
CLASSES = np.array([0, 3, 1, 2, 2])
SEQUENCE = random_input((6, 3, 8))

FUNCTIONS = {
    "margin ranking": lambda F, a, b: F.margin_ranking_loss(a[:, 0], b[:, 0], a.new_tensor(SIGNS), 0.3),
    "hinge": lambda F, a, b: F.hinge_embedding_loss(a[:, 0], a.new_tensor(SIGNS), 0.5),
    "soft margin": lambda F, a, b: F.soft_margin_loss(a[:, 0] * 40, a.new_tensor(SIGNS)),
    "cosine embedding": lambda F, a, b: F.cosine_embedding_loss(a, b, a.new_tensor(SIGNS), 0.2),
    "multi margin": lambda F, a, b: F.multi_margin_loss(a, a.new_tensor(CLASSES).long(), 2, 0.7),
    "multilabel margin": lambda F, a, b: F.multilabel_margin_loss(
        a, a.new_tensor([[0, 3, -1, 1], [2, -1, 0, 0], [-1, 0, 0, 0], [0, 1, 2, 3], [1, -1, -1, 2]]).long()
    ),
    "multilabel soft margin": lambda F, a, b: F.multilabel_soft_margin_loss(a, (b.detach() > 0).to(a.dtype)),
    "triplet": lambda F, a, b: F.triplet_margin_loss(a, b, a.flip(0), 0.5, swap=True),
    "poisson": lambda F, a, b: F.poisson_nll_loss(a, b.detach().abs() * 4, full=True),
    "gaussian": lambda F, a, b: F.gaussian_nll_loss(a, b, a.detach() ** 2 + 0.1, full=True),
    "old arguments": lambda F, a, b: F.mse_loss(a, b, size_average=False) + F.l1_loss(a, b, reduce=False).sum(),
    "normalize": lambda F, a, b: F.normalize(a, p=3, dim=0),
    "pairwise": lambda F, a, b: F.pairwise_distance(a, b, 3),
    "cosine": lambda F, a, b: F.cosine_similarity(a, b),
    "pdist": lambda F, a, b: F.pdist(a),
    "bilinear": lambda F, a, b: F.bilinear(a, b, a.new_tensor(random_input((3, 4, 4))), a.new_tensor([1.0, 2, 3])),
    "bag": lambda F, a, b: F.embedding_bag(
        a.new_tensor([0, 2, 1, 4, 4, 0]).long(), a, a.new_tensor([0, 2, 2]).long(), mode="mean"
    ),
    "bag of sums": lambda F, a, b: F.embedding_bag(a.new_tensor([[0, 2], [1, 4]]).long(), a, mode="sum"),
    "bag of maxima": lambda F, a, b: F.embedding_bag(a.new_tensor([[0, 2], [1, 4]]).long(), a, mode="max"),
    "unpool": lambda F, a, b: F.max_unpool1d(*F.max_pool1d(a.reshape(1, 5, 4), 2, return_indices=True), 2),
    "fold": lambda F, a, b: F.fold(F.unfold(a.reshape(1, 1, 5, 4), 3, padding=1), (5, 4), 3, padding=1),
    "threshold in place": lambda F, a, b: F.threshold(a * 1, 0.1, 2.0, inplace=True),
    "gelu, celu": lambda F, a, b: F.gelu(a) + F.celu(b, 0.5),
    "attention": lambda F, a, b: F.scaled_dot_product_attention(a, b, a, is_causal=True),
    "causal attention of heads": lambda F, a, b: F.scaled_dot_product_attention(
        a.reshape(5, 2, 2).transpose(0, 1),
        b.reshape(5, 2, 2).transpose(0, 1),
        a.reshape(5, 2, 2).transpose(0, 1),
        is_causal=True,
    ),
    "masked attention": lambda F, a, b: F.scaled_dot_product_attention(
        a, b, a, attn_mask=a.new_tensor(np.tri(5, 5)).bool(), scale=0.3
    ),
}


@requires_torch
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_functions(name):
    results = []
    for lib in (npnn, torch):
        a, b = (lib.tensor(x.copy(), requires_grad=True) for x in (A, B))
        y = FUNCTIONS[name](lib.nn.functional, a, b)
        (y * lib.tensor(random_input(tuple(y.shape), seed=9))).sum().backward()
        results.append(
            [y.detach().numpy(), *(t.grad.numpy() if t.grad is not None else np.zeros((5, 4)) for t in (a, b))]
        )
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@requires_torch
@requires_torch
@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"norm_first": True}, {"activation": "gelu"}, {"bias": False}]
)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_transformers(options):
    def build(nn):
        return nn.TransformerEncoderLayer(8, 2, 16, 0.0, **options)

    assert_module_matches_torch(build, SEQUENCE, dtype="float64")
    assert_module_matches_torch(lambda nn: nn.TransformerEncoder(build(nn), 2), SEQUENCE, dtype="float64")


@requires_torch
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 5, "vdim": 6}])
def test_multi_head_attention(options, need_weights):
    ours, theirs = equal_modules(lambda lib: lib.nn.MultiheadAttention(8, 2, **options).double())
    k, v = random_input((7, 3, options.get("kdim", 8)), seed=1), random_input((7, 3, options.get("vdim", 8)), seed=2)
    padding = np.zeros((3, 7), bool)
    padding[1, 4:] = True
    results = []
    for lib, layer in ((npnn, ours), (torch, theirs)):
        y, w = layer(
            lib.tensor(SEQUENCE),
            lib.tensor(k),
            lib.tensor(v),
            key_padding_mask=lib.tensor(padding),
            need_weights=need_weights,
        )
        results.append((y.detach().numpy(), None if w is None else w.detach().numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-9, atol=1e-11)
    if need_weights:
        np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-11)


@requires_torch
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[5, 3, 3, 1], [2, 5, 1, 4], [5, 5, 5, 5]])
def test_packed_sequences(kind, bidirectional, lengths):
    results = []
    x = random_input((5, 4, 3))
    for lib in (npnn, torch):
        lib.manual_seed(3)
        layer = getattr(lib.nn, kind)(3, 4, 2, bidirectional=bidirectional).double()
        rnn, t = lib.nn.utils.rnn, lib.tensor(x, requires_grad=True)
        packed = rnn.pack_padded_sequence(t, lib.tensor(lengths), enforce_sorted=False)
        output, state = layer(packed)
        y, back = rnn.pad_packed_sequence(output)
        last = state[0] if kind == "LSTM" else state
        ((y * y).sum() + (last * 2).sum()).backward()
        results.append([y.detach().numpy(), last.detach().numpy(), t.grad.numpy(), back.numpy()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_packing_errors():
    rnn, x = npnn.nn.utils.rnn, npnn.zeros(4, 3, 2)
    with pytest.raises(RuntimeError, match="sorted in decreasing order"):
        rnn.pack_padded_sequence(x, [1, 2, 3])
    with pytest.raises(RuntimeError, match="greater than 0"):
        rnn.pack_padded_sequence(x, [3, 2, 0])
    with pytest.raises(RuntimeError, match="beyond the 4 steps"):
        rnn.pack_padded_sequence(x, [5, 2, 1])
    with pytest.raises(RuntimeError, match="batch_size"):
        rnn.pack_padded_sequence(x, [3, 2])
    parts = [npnn.ones(3, 2), npnn.ones(1, 2)]
    padded = rnn.pad_sequence(parts, batch_first=True)
    assert [p.tolist() for p in rnn.unpad_sequence(padded, [3, 1], True)] == [p.tolist() for p in parts]
    assert rnn.unpack_sequence(rnn.pack_sequence(parts))[1].tolist() == [[1, 1]]


@requires_torch
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area", "bilinear", "bicubic"])
@pytest.mark.parametrize("how", [{"size": (7, 3)}, {"scale_factor": 1.7}, {"scale_factor": (0.5, 2.0)}])
def test_interpolation(mode, how):
    options = (
        [{}] if mode in ("nearest", "nearest-exact", "area") else [{}, {"align_corners": True}, {"antialias": True}]
    )
    for more in options:
        results = []
        for lib in (npnn, torch):
            x = lib.tensor(random_input((2, 3, 5, 6)), requires_grad=True)
            y = lib.nn.functional.interpolate(x, mode=mode, **how, **more)
            (y * lib.tensor(random_input(tuple(y.shape), seed=3))).sum().backward()
            results.append((y.detach().numpy(), x.grad.numpy()))
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8, err_msg=str(more))


@requires_torch
def test_hooks():
    results = []
    nets = equal_modules(
        lambda lib: lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 2)).double()
    )
    for lib, net in zip((npnn, torch), nets, strict=True):
        seen = []
        handles = [
            net[0].register_forward_pre_hook(lambda m, args: (args[0] * 2,)),
            net[1].register_forward_hook(
                lambda m, args, out, seen=seen: seen.append(out.detach().numpy()) or out * 0.5
            ),
            net[2].register_full_backward_hook(lambda m, gi, go, seen=seen: seen.extend(g.numpy() for g in (*gi, *go))),
            net[2].register_full_backward_hook(lambda m, gi, go: (gi[0] * 3,)),
            net[0].weight.register_hook(lambda g: g * 10),
        ]
        x = lib.tensor(random_input((2, 3)), requires_grad=True)
        h = net[0](x)
        h.register_hook(lambda g, seen=seen: seen.append(g.numpy()))
        net[2](net[1](h)).sum().backward()
        seen += [x.grad.numpy(), net[0].weight.grad.numpy()]
        for handle in handles:
            handle.remove()
        seen.append(net(x.detach()).detach().numpy())
        results.append(seen)
    assert len(results[0]) == len(results[1])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@requires_torch
def test_functions_in_torchs_own_form():
    def make(lib):
        class Cube(lib.autograd.Function):
            @staticmethod
            def forward(ctx, x, power):
                ctx.save_for_backward(x)
                ctx.power = power
                return x**power

            @staticmethod
            def backward(ctx, dy):
                (x,) = ctx.saved_tensors
                return dy * ctx.power * x ** (ctx.power - 1), None

        x = lib.tensor([1.0, 2.0, -1.5], requires_grad=True)
        y = Cube.apply(x * 1, 3)
        (y * y).sum().backward()
        (g,) = lib.autograd.grad(Cube.apply(x, 2).sum(), x)
        return y.detach().numpy(), x.grad.numpy(), g.numpy()

    for ours, theirs in zip(make(npnn), make(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@requires_torch
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs(search):
    results = []
    for lib in (npnn, torch):
        w = lib.tensor([-1.2, 1.0, 0.5], dtype=lib.float64, requires_grad=True)
        optimizer = lib.optim.LBFGS([w], lr=0.05 if search is None else 1, max_iter=7, line_search_fn=search)

        def closure(w=w, optimizer=optimizer):
            optimizer.zero_grad()
            loss = 10 * (w[1:] - w[:-1] ** 2).pow(2).sum() + (1 - w).pow(2).sum()
            loss.backward()
            return loss

        results.append([optimizer.step(closure).item() for _ in range(5)] + w.tolist())
    np.testing.assert_allclose(*results, rtol=1e-8)


@requires_torch
@pytest.mark.parametrize("piece", [8, 1 << 17])
@pytest.mark.parametrize("mask", [None, "causal", "shared", "padding", "each"])
def test_attention_does_not_depend_on_its_pieces(piece, mask, monkeypatch):
    monkeypatch.setattr("npnn.kernels.attention.PIECE", piece)
    given = {"shared": (7, 7), "padding": (3, 1, 1, 7), "each": (3, 2, 7, 7)}.get(mask)
    bias = None if given is None else random_input(given, seed=4)
    results = []
    for lib in (npnn, torch):
        q, k, v = (lib.tensor(random_input((3, 2, 7, 4), seed=s), requires_grad=True) for s in range(3))
        m = None if bias is None else lib.tensor(bias, requires_grad=True)
        y = lib.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=m, is_causal=mask == "causal")
        (y * y).sum().backward()
        results.append([y.detach().numpy(), *(t.grad.numpy() for t in (q, k, v, m) if t is not None)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
