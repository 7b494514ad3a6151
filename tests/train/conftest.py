"""What the tests of training share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Hundreds of small files are saved here; that they reach the disk is tested where they are written."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
