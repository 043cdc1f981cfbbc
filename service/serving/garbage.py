"""How often Python looks for cycles among its objects: seldom, and never among those that live as long as the process.

By default it looks after 700 more objects than before, and every so often at all there are: libraries, schemas, models.
A request makes some thousand objects, hardly ever a cycle, so nearly a quarter of the processor time of `/v1/sense`
went into looking.
"""

from __future__ import annotations

import gc

_MORE_OBJECTS = 20_000  # than before, after which the young ones are looked at; a few megabytes
_OLDER, _OLDEST = 10, 10  # of such looks, as by default


def collect_seldom() -> None:
    """Leave out what is there now for good; call it once all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MORE_OBJECTS, _OLDER, _OLDEST)
