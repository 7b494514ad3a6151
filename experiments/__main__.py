"""``python -m experiments``: the command line of the experiments in this folder."""

import sys

from npnn.experiment.command_line import main

if __name__ == "__main__":
    sys.exit(main())
