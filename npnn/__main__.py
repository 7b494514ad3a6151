"""``python -m npnn`` says what is installed and how it runs: what a report of a fault should begin with."""

from npnn.environment import report

if __name__ == "__main__":
    print(report())
