"""Padding: a frame around signals, images and volumes."""
