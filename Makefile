# make demo   set up an environment and train an MLP, a CNN and an RNN
# make test   set up an environment with PyTorch and run the tests (TORCH=0 leaves PyTorch out)
# make matrix the tests on other processors, Pythons and versions; hours (noxfile.py)
# make docs   build the site, open build/docs/html/index.html
# make check  what must hold before a commit: linter, formatter, types, spelling

PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= 1

ifeq ($(TORCH),0)
EXTRAS = dev
else
EXTRAS = dev,parity
endif

BIN = $(VENV)/bin

.PHONY: demo test check docs matrix clean

demo: $(VENV)/.experiments
	$(BIN)/python -m experiments demo

test: $(VENV)/.$(EXTRAS)
	$(BIN)/python -m pytest -n 2
	NPNN_JIT=0 $(BIN)/python -m pytest -n 2 -m "not slow" tests/kernels tests/nn tests/optim tests/train

check: $(VENV)/.$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -j 2 docs build/docs/html
	$(BIN)/python -m pytest -q tests/docs/test_site.py

matrix: $(VENV)/.$(EXTRAS)
	mkdir -p build
	-$(BIN)/nox --report build/matrix.json
	$(BIN)/python -m tests.matrix build/matrix.json

# one stamp file per set of extras: pip runs again only when pyproject.toml changes
$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	@touch "$@"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build *.egg-info
