import numpy as np
import pytest

from service.contract.captures import TEXT_MAX_CHARS
from service.contract.tensors import FUSE_INPUTS
from service.normalizers.text import PADDING_ID, UNKNOWN_ID, VOCABULARY, text_tokens

SPEC = next(spec for spec in FUSE_INPUTS if spec.name == "text")


def words(text: str | None) -> list[str]:
    """The words that are left of an instruction, without the padding."""
    tokens = text_tokens([text])
    SPEC.check(tokens)
    return [VOCABULARY[token] for token in tokens[0] if token != PADDING_ID]


def test_words_become_their_places_in_the_vocabulary():
    assert words("Where is the user?") == ["where", "is", "the", "user"]


def test_a_word_that_is_not_in_the_vocabulary_is_unknown():
    assert words("where is the zebra") == ["where", "is", "the", VOCABULARY[UNKNOWN_ID]]


@pytest.mark.parametrize("text", ["line-of-sight", "LINE OF SIGHT!", " line,of\tsight\n"])
def test_case_and_punctuation_do_not_count(text):
    assert words(text) == ["line", "of", "sight"]


@pytest.mark.parametrize("text", ["what's the user's activity", "what’s the user’s activity"])
def test_what_follows_an_apostrophe_is_dropped(text):
    assert words(text) == ["what", "the", "user", "activity"]


@pytest.mark.parametrize("text", [None, "", "  ", "?!", "…", "\x00"])
def test_no_words_are_all_padding(text):
    assert words(text) == []


@pytest.mark.parametrize("text", ["<padding>", "<unknown>"])
def test_the_names_of_the_special_tokens_are_no_words(text):
    assert words(text) == [VOCABULARY[UNKNOWN_ID]]


def test_only_the_first_16_words_count():
    assert words("where " * 40) == ["where"] * 16


def test_the_longest_text_of_any_letters_has_tokens():
    SPEC.check(text_tokens(["ş" * TEXT_MAX_CHARS, "\U0001f4e1" * TEXT_MAX_CHARS, "a" * TEXT_MAX_CHARS]))


def test_each_row_holds_its_own_text():
    tokens = text_tokens(["where", None, "line of sight"])
    SPEC.check(tokens)
    assert np.count_nonzero(tokens, axis=1).tolist() == [1, 0, 3]


def test_every_word_of_the_vocabulary_is_reachable_and_there_once():
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    for word in VOCABULARY[2:]:
        assert words(word) == [word]


def test_a_batch_of_none_gives_none():
    assert text_tokens([]).shape == (0, 16)
