"""Run what these tests run for a few minutes, with an outage of Redis and of a replica, and draw the boards.

`python -m tests.deploy.show --out deploy/grafana/pictures` drew those of the README.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from deploy.grafana.draw import draw_board
from deploy.grafana.generate import FOLDER
from tests.deploy.observed import observed

OUTAGE_S = 15.0
SETTLE_S = 10.0  # before the first sample that is drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path(), help="where the PNGs go")
    parser.add_argument("--minutes", type=float, default=4.0, help="how long to run (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    third_s = 20 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder, observed(Path(folder)) as fleet:
        time.sleep(SETTLE_S)
        begun_s = time.time()
        time.sleep(third_s)
        fleet.redis.stop()
        time.sleep(OUTAGE_S)
        fleet.redis.start()
        time.sleep(third_s - OUTAGE_S)
        fleet.replicas[-1].process.kill()
        time.sleep(third_s)
        now_s = time.time()
        for file in sorted(FOLDER.glob("*.json")):
            draw_board(fleet.prometheus, file, arguments.out / f"{file.stem}.png", now_s - begun_s, now_s)


if __name__ == "__main__":
    main()
