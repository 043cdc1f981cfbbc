"""Instructions in English to token ids of a fixed vocabulary."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.tensors import TEXT_LEN

PADDING_ID = 0
UNKNOWN_ID = 1

# An id is a place in this tuple and belongs to the trained weights: new words go to the end.
VOCABULARY: tuple[str, ...] = (
    "<padding>", "<unknown>",
    # position
    "where", "position", "positions", "locate", "location", "localise", "localize", "coordinates", "place", "point",
    "map", "track", "find", "distance", "region", "covariance",
    # line of sight
    "line", "sight", "los", "nlos", "blocked", "blockage", "obstructed", "obstacle", "clear", "visible", "visibility",
    "see", "direct", "path", "link", "channel", "state", "condition",
    # activity
    "doing", "activity", "action", "motion", "move", "moving", "movement", "gesture", "exercise", "behaviour",
    "behavior", "boxing", "jack", "jump", "jumping", "squats", "walk", "walking",
    # who
    "user", "ue", "terminal", "device", "phone", "car", "vehicle", "person", "human", "people", "target", "they",
    # what to do
    "what", "which", "how", "whether", "if", "is", "are", "does", "estimate", "predict", "tell", "give", "show",
    "report", "classify", "recognise", "recognize", "identify", "detect", "decide", "check", "answer", "probability",
    "uncertainty",
    # joining words
    "the", "a", "of", "it", "its", "this", "in", "on", "at", "to", "for", "by", "with", "me", "i", "and", "or",
    "also", "both", "all", "everything", "only", "just", "not", "no", "non", "without", "please", "now",
)  # fmt: skip

_IDS = {word: number for number, word in enumerate(VOCABULARY)}
_WORD = re.compile(r"[a-z0-9]+(?:['’][a-z]+)?")  # one word with its apostrophe, of which the stem counts


def text_tokens(texts: Sequence[str | None]) -> NDArray[np.int64]:
    """Token ids of the first 16 words of each instruction.

    Words are lower-cased and split at everything but letters and digits, so "line-of-sight" is three words; what
    follows an apostrophe is dropped, so "where's" is "where".

    Args:
        texts: an instruction each, None where there is none.

    Returns:
        int64 `[B, 16]`: the place in `VOCABULARY`, 1 for any other word, 0 after the last word.
    """
    tokens = np.full((len(texts), TEXT_LEN), PADDING_ID, np.int64)
    for row, text in enumerate(texts):
        words = _WORD.findall((text or "").lower())[:TEXT_LEN]
        tokens[row, : len(words)] = [_IDS.get(re.split("['’]", word)[0], UNKNOWN_ID) for word in words]
    return tokens
