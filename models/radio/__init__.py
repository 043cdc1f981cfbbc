"""Everything around a trajectory system of radio frames: answers, calibration, table, export, cost, pictures."""
