"""The experiments: one file per question, run by ``python -m experiments``.

Each file is read from top to bottom: the question and the answer, the Config, the data, the model,
the optimiser, the figure, the variants.  To ask a question of your own, write one more such file;
what it has to define is listed in ``npnn/experiment/registry.py``.
"""
