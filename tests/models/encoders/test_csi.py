from __future__ import annotations

import numpy as np
import torch

from models.data.batches import radio_inputs
from models.encoders.csi import PolarGuess
from tests.models.toy import channels, places
from tests.service.normalizers.waves import BANDWIDTH_HZ


def test_guess_finds_a_terminal_in_free_space() -> None:
    truth = places((200,), np.random.default_rng(0))
    cues = radio_inputs(channels(truth), BANDWIDTH_HZ)
    guess = PolarGuess()(torch.from_numpy(cues["aoa"]), torch.from_numpy(cues["distance"])).numpy()
    off_range = np.hypot(*guess.T) - np.hypot(*truth.T)
    off_azimuth = np.arctan2(guess[:, 1], guess[:, 0]) - np.arctan2(truth[:, 1], truth[:, 0])
    assert np.abs(off_range).max() < 0.3
    assert np.degrees(np.abs(off_azimuth)).max() < 8  # the profile's main lobe is 14 degrees wide
    assert np.degrees(np.abs(off_azimuth)).mean() < 3
