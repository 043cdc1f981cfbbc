"""Instructions in English and the tasks that they ask for, to train and test the text input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.contract.labels import TASKS
from service.normalizers.text import text_tokens

_ASK: dict[str, tuple[str, ...]] = {
    "position": (
        "where is the user", "locate the ue", "estimate the position of the terminal", "find the location",
        "what are the coordinates", "track this user", "where is it", "position", "give me the position",
        "localise the terminal", "predict the location of the ue",
    ),
    "los": (
        "is the link line of sight", "is the direct path blocked", "los or nlos", "classify the path",
        "is there a line of sight", "probability of line of sight", "is the path clear", "line of sight",
        "is the ue blocked", "nlos probability", "check the direct path",
    ),
    "activity": (
        "what is the person doing", "classify the activity", "recognise the action", "activity",
        "which activity is it", "what is he doing", "estimate the activity of the person", "predict the action",
        "is the person moving", "what action is the person doing", "name the activity",
    ),
}  # fmt: skip
_ALL = ("everything", "all tasks", "estimate everything", "all", "tell me everything")
_JOIN = (" and ", ", and ", " and also ", ", then ")
HELD_OUT = 3  # the last phrases of each task are never trained on


def draw(count: int, rng: np.random.Generator, held_out: bool = False) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Random instructions: tokens `[count, 16]` and which tasks they ask for, float32 `[count, 3]`."""
    texts, wanted = [], np.zeros((count, len(TASKS)), np.float32)
    for row in range(count):
        if not held_out and rng.random() < 0.1:
            texts.append(str(rng.choice(_ALL)))
            wanted[row] = 1
            continue
        tasks = rng.permutation(len(TASKS))[: 1 if rng.random() < 0.6 else 2]
        phrases = [_ASK[TASKS[t]][-HELD_OUT:] if held_out else _ASK[TASKS[t]][:-HELD_OUT] for t in tasks]
        texts.append(str(rng.choice(_JOIN)).join(str(rng.choice(p)) for p in phrases))
        wanted[row, tasks] = 1
    return text_tokens(texts), wanted
