"""The gateway as several processes behind one port, and one with the models for all of them.

This process checks the settings, takes the port, and becomes the supervisor of the others: the same process, but
another program, which imports little.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from service.engine.cores import usable_cores
from service.serving.nursery import in_memory, python
from service.serving.server import bound_port
from service.serving.told import Told
from service.settings import Settings
from service.telemetry.logs import configure_logs


def run_workers(settings: Settings) -> NoReturn:
    """Serve until SIGTERM or SIGINT; the program that does so has the exit status."""
    configure_logs(settings.log_level, settings.log_format)
    threads = settings.threads or max(1, usable_cores() // settings.workers)
    port = bound_port(settings)  # here, so that all gateways accept from one queue
    port.set_inheritable(True)
    told = Told(settings.model_copy(update={"threads": threads}).model_dump(mode="json"), port.fileno())
    content = in_memory(told.to_json())
    sys.stdout.flush()
    sys.stderr.flush()
    command = python("service.serving.supervisor", str(content))
    os.execv(command[0], command)
