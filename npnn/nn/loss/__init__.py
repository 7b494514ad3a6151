"""Losses: one number that says how wrong a network is."""
