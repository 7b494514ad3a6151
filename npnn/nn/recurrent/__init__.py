"""Recurrent networks: over whole sequences, step by step, and over sequences of several lengths."""
