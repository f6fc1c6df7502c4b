"""CONSENT_WORDS_FILE: which words say something of consent, and what their customers are answered.

Owns the file's form and its check. What the file leaves out is as it is without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import SettingsError
from shared.messaging.customers.words import DEFAULT_WORDS, LONGEST_TEXT, ConsentWord, ConsentWords, normalise

_VARIABLE: Final = "CONSENT_WORDS_FILE"
#: Keys of the file, and of each language's answers.
_KEYS: Final[Mapping[str, ConsentWord]] = {
    "out": ConsentWord.OPT_OUT,
    "out_all": ConsentWord.OPT_OUT_ALL,
    "in": ConsentWord.OPT_IN,
}
_ENGLISH: Final = "en"
_DEFAULT_ANSWERS: Final[Mapping[str, Mapping[ConsentWord, str]]] = {
    _ENGLISH: {
        ConsentWord.OPT_OUT: "You will get no more offers from us. Send START to get them again.",
        ConsentWord.OPT_OUT_ALL: "You will get no automatic messages from us. Send START to get them again.",
        ConsentWord.OPT_IN: "You will get our offers from now on. Send STOP to end them.",
    }
}

Answer = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
Words = Annotated[list[str], Field(min_length=1, max_length=1000)]


class _Answers(BaseModel):
    model_config = ConfigDict(extra="forbid")

    out: Answer
    out_all: Answer
    in_: Answer = Field(alias="in")


class _WordsFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    out: Words | None = None
    out_all: Words | None = None
    in_: Words | None = Field(None, alias="in")
    answers: (
        Annotated[dict[Annotated[str, Field(min_length=1, max_length=35)], _Answers], Field(min_length=1)]
        | None
    ) = None


@dataclass(frozen=True, slots=True)
class ConsentTexts:
    """The words of consent, and the answers to them by language, in small letters."""

    words: ConsentWords = field(default_factory=ConsentWords)
    answers: Mapping[str, Mapping[ConsentWord, str]] = field(default_factory=lambda: _DEFAULT_ANSWERS)

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """What the file says; None: as it is without one. Raises SettingsError, one line."""
        return cls() if path is None else cls._of(_load(path))

    @classmethod
    def _of(cls, told: _WordsFile) -> Self:
        given = {word: getattr(told, _attribute(key)) for key, word in _KEYS.items()}
        words = {word: _read_words(word, given[word] or DEFAULT_WORDS[word]) for word in _KEYS.values()}
        _refuse_twice(words)
        if told.answers is None:
            return cls(ConsentWords(words))
        answers = {
            language.lower(): {word: getattr(texts, _attribute(key)) for key, word in _KEYS.items()}
            for language, texts in told.answers.items()
        }
        return cls(ConsentWords(words), answers)

    def answer(self, word: ConsentWord, language: str | None) -> str:
        """The answer in a language (`de-AT`), else in its plain form, in English, or the first there is."""
        asked = (language or "").lower().replace("_", "-")
        for name in (asked, asked.partition("-")[0], _ENGLISH):
            if name in self.answers:
                return self.answers[name][word]
        return next(iter(self.answers.values()))[word]


def _load(path: Path) -> _WordsFile:
    try:
        told = orjson.loads(path.read_bytes())
    except OSError as error:
        raise _fault(f"must name a readable file ({error.strerror}), got {str(path)!r}") from None
    except orjson.JSONDecodeError as error:
        raise _fault(f"must hold JSON ({error}), got {str(path)!r}") from None
    try:
        return _WordsFile.model_validate(told)
    except ValidationError as error:
        problem: Any = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the file"
        rule = problem["msg"].replace("Extra inputs are not permitted", "is not a known key")
        raise _fault(f"{place}: {rule[:1].lower()}{rule[1:]}") from None


def _read_words(word: ConsentWord, texts: list[str] | tuple[str, ...]) -> list[str]:
    """As they are compared."""
    compared = list(map(normalise, texts))
    for text, told in zip(texts, compared, strict=True):
        if not told or len(told) > LONGEST_TEXT:
            raise _fault(
                f"{_key(word)}: {text[:LONGEST_TEXT]!r} has no letter, or over {LONGEST_TEXT} characters"
            )
    return compared


def _refuse_twice(words: Mapping[ConsentWord, list[str]]) -> None:
    """A word with two meanings has none."""
    meant: dict[str, ConsentWord] = {}
    for word, texts in words.items():
        for text in texts:
            if (other := meant.setdefault(text, word)) is not word:
                raise _fault(f"{_key(word)}: {text!r} stands in {_key(other)} already")


def _key(word: ConsentWord) -> str:
    return next(key for key, meant in _KEYS.items() if meant is word)


def _attribute(key: str) -> str:
    return "in_" if key == "in" else key


def _fault(rule: str) -> SettingsError:
    return SettingsError(f"{_VARIABLE}: {rule}")
