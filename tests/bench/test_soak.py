"""When the soak says that memory grows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.soak.growth import growth

TIMES_S = np.arange(0, 600, 2.0)
NOISE_MIB = np.random.default_rng(0).normal(0, 1.5, len(TIMES_S))


def test_leak_is_found_within_noise_and_measured() -> None:
    found = growth(TIMES_S, 400 + 2.0 * TIMES_S / 60 + NOISE_MIB, warm_s=60)
    assert not found.flat
    assert found.mib_per_minute == pytest.approx(2.0, abs=0.1)
    assert found.rise_mib == pytest.approx(2.0 * 538 / 60, abs=1)
    assert found.start_mib == pytest.approx(402, abs=1)


def test_noise_and_a_leap_and_a_fall_are_no_growth() -> None:
    memory = 400 + NOISE_MIB
    memory[200:210] += 80  # a large request
    memory[250:] -= 40  # something was given back
    assert growth(TIMES_S, memory, warm_s=60).flat
    assert growth(TIMES_S, 400 - TIMES_S / 60, warm_s=60).flat


def test_what_grows_while_it_warms_up_does_not_count() -> None:
    memory = np.minimum(300 + 2 * TIMES_S, 420)
    assert growth(TIMES_S, memory, warm_s=60).flat
    assert growth(TIMES_S, memory, warm_s=60).from_s == 60
    assert not growth(TIMES_S[:60], memory[:60], warm_s=0).flat


def test_too_few_samples_say_nothing() -> None:
    with pytest.raises(ValueError, match="expected at least 3 samples of memory after 60 s, got 2"):
        growth([10.0, 70.0, 72.0], [1.0, 2.0, 3.0], warm_s=60)
