"""Activations: functions of one element, and the softmax."""
