"""CONSENT_WORDS_FILE: what it may say, and one line for each fault."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from shared.errors import SettingsError
from shared.messaging.customers.consent_file import ConsentTexts
from shared.messaging.customers.words import ConsentWord

ANSWERS: Final = {"out": "bye", "out_all": "silence", "in": "hello"}


def read(tmp_path: Path, told: Any) -> ConsentTexts:
    file = tmp_path / "words.json"
    file.write_bytes(told if isinstance(told, bytes) else json.dumps(told).encode())
    return ConsentTexts.read(file)


def test_without_a_file_the_usual_words_count_and_are_answered_in_english() -> None:
    texts = ConsentTexts.read(None)

    assert texts.words.read("Stop") is ConsentWord.OPT_OUT
    for word in ConsentWord:
        assert texts.answer(word, "de")
    assert len({texts.answer(word, None) for word in ConsentWord}) == len(ConsentWord)


def test_what_the_file_leaves_out_is_as_without_one(tmp_path: Path) -> None:
    texts = read(tmp_path, {"out": ["Genug!", "basta"]})

    assert texts.words.read("GENUG") is ConsentWord.OPT_OUT
    assert texts.words.read("stop") is None
    assert texts.words.read("stop all") is ConsentWord.OPT_OUT_ALL
    assert texts.words.read("start") is ConsentWord.OPT_IN
    assert "START" in texts.answer(ConsentWord.OPT_OUT, None)


@pytest.mark.parametrize(
    ("language", "answer"),
    [
        ("de", "tschüss"),
        ("de-AT", "tschüss"),
        ("DE_ch", "tschüss"),
        ("pt-BR", "até"),
        ("pt", "bye"),
        (None, "bye"),
    ],
)
def test_a_customer_is_answered_in_their_language_as_far_as_there_are_answers(
    tmp_path: Path, language: str | None, answer: str
) -> None:
    answers = {"de": ANSWERS | {"out": "tschüss"}, "en": ANSWERS, "pt-br": ANSWERS | {"out": "até"}}

    assert read(tmp_path, {"answers": answers}).answer(ConsentWord.OPT_OUT, language) == answer


def test_without_english_answers_the_first_language_stands_in(tmp_path: Path) -> None:
    assert read(tmp_path, {"answers": {"fr": ANSWERS}}).answer(ConsentWord.OPT_IN, "de") == "hello"


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (b"{", "must hold JSON"),
        (b"\xff", "must hold JSON"),
        ([], "the file: input should be"),
        ({"stop": ["x"]}, "stop: is not a known key"),
        ({"out": []}, "out: list should have at least 1 item"),
        ({"out": "stop"}, "out: input should be a valid list"),
        ({"out": [7]}, "out.0: input should be a valid string"),
        ({"out": ["🛑!"]}, "out: '🛑!' has no letter, or over 100 characters"),
        ({"out": ["a" * 101]}, "has no letter, or over 100 characters"),
        ({"in": ["stop"]}, "in: 'stop' stands in out already"),
        ({"out_all": ["S.T.O.P"]}, "out_all: 'stop' stands in out already"),
        ({"answers": {}}, "answers: dictionary should have at least 1 item"),
        ({"answers": {"en": {"out": "bye"}}}, "answers.en.out_all: field required"),
        ({"answers": {"en": ANSWERS | {"in": " "}}}, "answers.en.in: string should match"),
        ({"answers": {"en": ANSWERS | {"in": "x" * 1001}}}, "answers.en.in: string should have at most 1000"),
    ],
)
def test_a_fault_is_one_line_that_names_the_place(tmp_path: Path, told: Any, line: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, told)

    assert str(raised.value).startswith("CONSENT_WORDS_FILE: ")
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must name a readable file"):
        ConsentTexts.read(tmp_path / "none.json")
