"""One generator for everything; a thread may have its own for a while."""

from __future__ import annotations

import threading

import pytest

import npnn
import npnn.random


def test_use_generator_is_for_one_thread():
    own, seen = npnn.Generator().manual_seed(1), []
    common = npnn.random.generator()
    with npnn.random.use_generator(own):
        thread = threading.Thread(target=lambda: seen.append(npnn.random.generator()))
        thread.start()
        thread.join()
        assert npnn.random.generator() is own
        with pytest.raises(KeyError), npnn.random.use_generator(npnn.Generator().manual_seed(2)):
            raise KeyError
        assert npnn.random.generator() is own
        npnn.manual_seed(1)
        assert npnn.get_rng_state().tolist() == npnn.Generator().manual_seed(1).get_state().tolist()
    assert seen == [common]
    assert npnn.random.generator() is common
