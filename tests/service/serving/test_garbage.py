from __future__ import annotations

import subprocess
import sys

_LOOKS = """
import gc, sys, time, weakref
from service.serving.garbage import collect_seldom
class Node: pass
library = [{"name": [n]} for n in range(200_000)]
if sys.argv[1] == "seldom":
    collect_seldom()
looks = sum(generation["collections"] for generation in gc.get_stats())
held = []
for request in range(200):
    held = [{"frame": [n]} for n in range(1000)]
print(sum(generation["collections"] for generation in gc.get_stats()) - looks)
lost = weakref.ref(node := Node())
node.itself = node
del node
held = [[] for _ in range(100_000)]
print(lost() is None, gc.get_freeze_count() > len(library))
"""


def test_garbage_is_looked_for_seldom_and_found_all_the_same() -> None:
    often, seldom = (
        subprocess.run([sys.executable, "-c", _LOOKS, how], capture_output=True, check=True, text=True).stdout.split()
        for how in ("often", "seldom")
    )
    assert 20 * int(seldom[0]) < int(often[0])
    assert often[1:] == ["True", "False"]
    assert seldom[1:] == ["True", "True"]
