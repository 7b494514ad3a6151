"""Python imports this at its start, in processes started by one in which npnn answers for torch: it does so here, too."""

import os
import runpy
import sys

if os.environ.get("NPNN_ANSWERS_FOR_TORCH") == "1":
    import npnn.torch

    npnn.torch.install()

# the sitecustomize that this one hides, if there is one
_here = os.path.dirname(os.path.abspath(__file__))
for _folder in sys.path:
    _other = os.path.join(_folder, "sitecustomize.py")
    if os.path.abspath(_folder) != _here and os.path.isfile(_other):
        runpy.run_path(_other)
        break
