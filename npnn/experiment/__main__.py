"""``python -m npnn.experiment``: the experiments' command line, wherever npnn is installed."""

import sys

from npnn.experiment.command_line import main

if __name__ == "__main__":
    sys.exit(main(program="python -m npnn.experiment"))
