"""Convolutions of signals and images, and their transposes."""
