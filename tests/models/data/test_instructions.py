from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data import instructions
from service.contract.labels import TASKS
from service.contract.tensors import TEXT_LEN
from service.normalizers.text import VOCABULARY, text_tokens

Sentence = tuple[int, ...]


def _drawn(held_out: bool, count: int = 3000) -> dict[Sentence, NDArray[np.float32]]:
    tokens, wanted = instructions.draw(count, np.random.default_rng(0), held_out)
    return {tuple(row[row > 0].tolist()): tasks for row, tasks in zip(tokens, wanted, strict=True)}


def _contains(sentence: Sentence, phrase: Sentence) -> bool:
    return any(sentence[i : i + len(phrase)] == phrase for i in range(len(sentence) - len(phrase) + 1))


@pytest.fixture(scope="module")
def trained() -> dict[Sentence, NDArray[np.float32]]:
    return _drawn(held_out=False)


@pytest.fixture(scope="module")
def held_out() -> dict[Sentence, NDArray[np.float32]]:
    return _drawn(held_out=True)


def test_held_out_phrases_are_never_drawn_in_training(
    trained: dict[Sentence, NDArray[np.float32]], held_out: dict[Sentence, NDArray[np.float32]]
) -> None:
    phrases = [sentence for sentence, tasks in held_out.items() if tasks.sum() == 1]
    assert len(phrases) == instructions.HELD_OUT * len(TASKS)
    leaked = [(phrase, sentence) for phrase in phrases for sentence in trained if _contains(sentence, phrase)]
    assert leaked == []


def test_training_draws_every_single_task_every_pair_and_all(trained: dict[Sentence, NDArray[np.float32]]) -> None:
    asked = {tuple(tasks.tolist()) for tasks in trained.values()}
    assert asked == {(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)}


@pytest.mark.parametrize("held", [False, True])
def test_the_same_words_always_ask_for_the_same(held: bool) -> None:
    tokens, wanted = instructions.draw(3000, np.random.default_rng(1), held)
    meaning: dict[bytes, set[bytes]] = {}
    for words, tasks in zip(tokens, wanted, strict=True):
        meaning.setdefault(words.tobytes(), set()).add(tasks.tobytes())
    assert all(len(tasks) == 1 for tasks in meaning.values())


def test_no_instruction_is_cut_off(
    trained: dict[Sentence, NDArray[np.float32]], held_out: dict[Sentence, NDArray[np.float32]]
) -> None:
    assert max(len(sentence) for sentence in (*trained, *held_out)) < TEXT_LEN


def test_words_mean_the_task_that_they_name() -> None:
    tokens, wanted = instructions.draw(2000, np.random.default_rng(2))
    for word, task in (("locate", "position"), ("nlos", "los"), ("activity", "activity")):
        has_word = (tokens == VOCABULARY.index(word)).any(1)
        assert has_word.any()
        assert (wanted[has_word, TASKS.index(task)] == 1).all()


def test_drawing_is_reproducible() -> None:
    first, again = (instructions.draw(50, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[0].dtype == text_tokens(["a"]).dtype
