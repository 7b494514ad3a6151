"""Thirty faults, planted one at a time: which test finds each, although it is not about it?

    python -m tests.planted [NUMBER ...]     writes tests/PLANTED.md

Each fault is a line of the package that is changed in a copy.  The tests of its own place are left out, and the others
run, the quick ones first, until one fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).with_name("PLANTED.md")
COPY = ROOT / "build" / "planted" / "copy"  # one place for all: what numba keeps is found again


class Fault(NamedTuple):
    what: str
    file: str  # within npnn
    right: str
    wrong: str
    own: str  # the tests that are about it, which are left out


FAULTS = [
    # wrong gradients
    Fault("product: da = -b dy", "ops/arithmetic.py", "(dy * self.b if need_a", "(dy * -self.b if need_a", "ops"),
    Fault("quotient: db without its sign", "ops/arithmetic.py", "(-da * self.y if", "(da * self.y if", "ops"),
    Fault("power: b aᵇ instead of b aᵇ⁻¹", "ops/arithmetic.py", "da = dy * (b * np.power(a, b - 1)) if b", "da = dy * (b * np.power(a, b)) if b", "ops"),
    Fault("mean: gradient of the sum", "ops/reductions.py", "np.broadcast_to(dy / self.n if self.n else dy,", "np.broadcast_to(dy,", "ops"),
    Fault("variance: factor 2 missing", "ops/reductions.py", "self.centred * (2 * self.scale *", "self.centred * (self.scale *", "ops"),
    Fault("linear: db of the first row only", "nn/linear.py", "column_sums(dy) if needs_db", "column_sums(dy[:1]) if needs_db", "nn/test_linear.py"),
    Fault("linear: dW of half the batch", "nn/linear.py", "dw = matmul(dy, self.x, True, False)", "dw = matmul(dy[::2], self.x[::2], True, False)", "nn/test_linear.py"),
    Fault("cross-entropy: the mean's gradient is the sum's", "nn/loss/cross_entropy.py", "self.scale = 1 / total_weight if total_weight else 0.0\n            total", "self.scale = 1.0\n            total", "nn/test_loss.py"),
    Fault("dropout: another mask backward", "nn/dropout.py", "        return dy * self.f\n", "        return dy * np.roll(self.f, 1)\n", "nn/test_dropout.py"),
    Fault("layer normalisation: γ and β change places", "nn/normalization/layernorm.py", "dx.reshape(dy.shape), dw.reshape(self.shape), db.reshape(self.shape)", "dx.reshape(dy.shape), db.reshape(self.shape), dw.reshape(self.shape)", "nn/test_layernorm.py"),
    Fault("average pooling: scale missing backward", "nn/pooling/average_max.py", "channels_last(dy, dims) * self.scale, *self.tables", "channels_last(dy, dims) * 1.0, *self.tables", "nn/test_pooling.py"),
    Fault("embedding: padding gets a gradient", "nn/embedding.py", "            dw[self.padding_idx] = 0\n", "            pass\n", "nn/test_embedding.py"),
    # off by one
    Fault("output size of a convolution: one less dilation", "kernels/im2col.py", "(n + p + q - d * (k - 1) - 1) // s + 1", "(n + p + q - d * k) // s + 1", "kernels/test_conv.py"),
    Fault("StepLR: a step late", "optim/lr_scheduler/factors.py", "return self.gamma ** (step // self.step_size)", "return self.gamma ** (max(step - 1, 0) // self.step_size)", "optim/test_lr_scheduler.py"),
    Fault("MultiStepLR: a step late", "optim/lr_scheduler/factors.py", "bisect_right(self.milestones, step)", "bisect_right(self.milestones, step - 1)", "optim/test_lr_scheduler.py"),
    Fault("EarlyStopping: one record too patient", "train/callbacks.py", "if self.waited >= self.patience:", "if self.waited > self.patience:", "train/test_callbacks.py"),
    Fault("running variance: divided by M", "nn/normalization/statistics.py", "(M / (M - 1) / S)", "(1 / S)", "nn/test_batchnorm.py"),
    Fault("Adam: bias correction from step 0 on", "optim/adam.py", "1 / math.sqrt(1 - beta2**t)", "1 / math.sqrt(1 - beta2 ** (t + 1))", "optim"),
    # wrong defaults
    Fault("batch normalisation: momentum 0.9", "nn/normalization/batchnorm.py", "        momentum: float | None = 0.1,", "        momentum: float | None = 0.9,", "nn/test_batchnorm.py"),
    Fault("batch normalisation: eps 1e-3", "nn/normalization/batchnorm.py", "        eps: float = 1e-5,", "        eps: float = 1e-3,", "nn/test_batchnorm.py"),
    Fault("RMSprop: alpha 0.9", "optim/rmsprop.py", "alpha: float = 0.99", "alpha: float = 0.9", "optim"),
    Fault("AdamW: decay 0", "optim/adam.py", "weight_decay: float = 1e-2", "weight_decay: float = 0", "optim"),
    Fault("LeakyReLU: slope 0.2", "nn/activation/rectifiers.py", "self, negative_slope: float = 0.01", "self, negative_slope: float = 0.2", "nn/test_activation.py"),
    Fault("linear: the bound of the bias is 1/I", "nn/linear.py", "bound = 1 / math.sqrt(self.in_features) if", "bound = 1 / self.in_features if", "nn/test_linear.py"),
    Fault("Kaiming: gain without the root", "nn/init.py", "return math.sqrt(2 / (1 + slope**2))", "return 2 / (1 + slope**2)", "nn/test_init.py"),
    # lost updates, and what is forgotten
    Fault("zero_grad: the last parameter is forgotten", "optim/optimizer.py", '            for p in group["params"]:\n                if set_to_none:', '            for p in group["params"][:-1]:\n                if set_to_none:', "optim"),
    Fault("momentum: the buffer begins anew at each step", "optim/sgd.py", 'buffer = state["momentum_buffer"] = np.zeros_like(p)', "buffer = np.zeros_like(p)", "optim"),
    Fault("clipping: a factor per parameter is lost", "nn/utils/weights.py", "            for g in gradients:\n                g *= factor", "            for g in gradients[:1]:\n                g *= factor", "nn/test_utils.py"),
    Fault("flip: of all pictures of the batch", "data/transforms.py", "flipped = _units(words[:, 0]) < self.p", "flipped = _units(words[:1, 0]).repeat(len(words)) < self.p", "data/test_transforms.py"),
    Fault("pictures: divided by 256", "data/dataset.py", "dtype.type(255)", "dtype.type(256)", "data"),
]  # fmt: skip
#: In this order: those that are done soon before those that train.
ORDER = ("reported", "ops", "optim", "nn", "look", "data", "kernels", "torch_names", "train", "testing", "onnx", "sklearn",
         "experiments", "io", "random", "plot", ".")  # fmt: skip


def found_by(fault: Fault) -> str:
    """The first test that fails in a copy of the project with this fault; "" if none does."""
    folder = COPY
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("npnn", "tests", "experiments", "benchmarks", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name in (
        "pyproject.toml",
        "README.md",
        "DIFFERENCES.md",
        "CITATION.cff",
        "CHANGELOG.md",
        "figs",
        "best_models",
    ):
        (folder / name).symlink_to(ROOT / name)
    for name in ("experiments", "benchmarks"):
        (folder / name / "results").symlink_to(ROOT / name / "results")
    path = folder / "npnn" / fault.file
    text = path.read_text()
    assert text.count(fault.right) == 1, f"{fault.what}: the line is there {text.count(fault.right)} times"
    path.write_text(text.replace(fault.right, fault.wrong))
    own = folder / "tests" / fault.own
    for room in ORDER:
        where = [f"tests/{room}"] if room != "." else sorted(str(p) for p in (folder / "tests").glob("test_*.py"))
        where = [path for path in where if not path.endswith("test_package.py")]  # it builds the project: no copy
        words = ["-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", f"--ignore={own}", *where]
        if own == folder / "tests" / room:
            continue
        env = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(COPY.with_name("cache"))}
        done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, env=env)
        failed = re.search(r"^(?:FAILED|ERROR) tests/(\S+)", done.stdout, re.MULTILINE)
        if failed:
            return failed[1]
        assert done.returncode in (0, 5), done.stdout[-2000:] + done.stderr[-2000:]
    return ""


def main(numbers: list[int]) -> None:
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    known = {int(m[1]): line for line in lines if (m := re.match(r"\| (\d+) \|", line))}
    for number in numbers or range(1, len(FAULTS) + 1):
        fault = FAULTS[number - 1]
        test = found_by(fault)
        known[number] = f"| {number} | {fault.what} | `{fault.file}` | {f'`{test}`' if test else '**no test**'} |"
        print(known[number], flush=True)
        head = [*(__doc__ or "").split("\n\n")[0].splitlines(), *(__doc__ or "").split("\n\n")[2].splitlines()]
        table = ["| | fault | file | found by |", "| ---: | --- | --- | --- |", *(known[n] for n in sorted(known))]
        tried = f"{len(known)} of {len(FAULTS)} have been tried."
        PAGE.write_text("\n".join(["# Planted faults", "", *head, "", tried, "", *table]) + "\n")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
