"""The log: one line an event, JSON for machines or text for people, for this service and the libraries under it.

Lines carry ids of requests and traces, never anything of what a request holds.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_FIRST = ("timestamp", "level", "event")  # of a line: what an eye looks for


def configure_logs(level: str, form: Literal["json", "text"] | None, stream: TextIO | None = None) -> None:
    """Set up the log of this process.

    Args:
        level: least important lines, e.g. `info`.
        form: by default text where the stream is a terminal, else JSON.
        stream: by default standard error.
    """
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    as_text = stream.isatty() if form is None else form == "text"
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if as_text
        else [structlog.processors.format_exc_info, _json]
    )
    structlog.configure(
        processors=[*chain, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    # Libraries, the server among them, log through the standard library: give them the same form.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*chain, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(True)


def _json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    first = {name: event[name] for name in _FIRST if name in event}
    return orjson.dumps({**first, **event}, default=repr).decode()
