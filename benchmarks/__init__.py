"""Speed, side by side with PyTorch and other peers, in one process, correctness first."""
