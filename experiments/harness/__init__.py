"""What the experiments share: their configuration, the runner, the comparison with torch, saved results."""
