"""Words of consent: which texts are one, in whatever dress, and that no sentence is."""

import random
import re
import string
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from shared.messaging.customers.words import DEFAULT_WORDS, ConsentWord, ConsentWords, normalise
from shared.payloads import InboundMessage

WORDS: Final = ConsentWords()
ALL: Final = [(text, word) for word, texts in DEFAULT_WORDS.items() for text in texts]
#: What people put around and into a word.
DRESS: Final = [
    "!",
    ".",
    "...",
    "?",
    "‼️",
    "🛑",
    "🙏🏽",
    "👨‍👩‍👧",
    "\u200b",
    "\ufeff",
    "“",
    "”",
    "*",
    "_",
    "~",
    "¡",
    "\u2764\ufe0f",
]
BLANKS: Final = [" ", "  ", "\n", "\t", "\u00a0", "\u3000", "\r\n"]
#: Of every script a little, the words themselves among them: what sentences are made of.
_OTHERS: Final = """please I am late the bus at my order no yes cancel end now it do not me to again 2 17 ok
bitte nicht die Bestellung für arrêtez por favor não спасибо стоп 停止 توقف रुको"""
VOCABULARY: Final = [*(part for text, _ in ALL for part in text.split()), *_OTHERS.split()]


def message(**fields: Any) -> InboundMessage:
    return InboundMessage(
        wamid="wamid.1", timestamp=datetime(2026, 1, 1, tzinfo=UTC), wa_id="491700000001", **fields
    )


@pytest.mark.parametrize(("text", "word"), ALL)
def test_each_word_of_the_list_is_read(text: str, word: ConsentWord) -> None:
    assert WORDS.read(text) is word
    assert WORDS.read(text.upper()) is word
    assert WORDS.read(f"  {text.title()} !\n") is word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("\uff33\uff34\uff2f\uff30", ConsentWord.OPT_OUT),
        ("\U0001d412\U0001d413\U0001d40e\U0001d40f", ConsentWord.OPT_OUT),
        ("🛑STOP🛑", ConsentWord.OPT_OUT),
        ("S.T.O.P.", ConsentWord.OPT_OUT),
        ("opt-out", ConsentWord.OPT_OUT),
        ("Opt\u00a0 out", ConsentWord.OPT_OUT),
        ("Stop promotions", ConsentWord.OPT_OUT),
        ("ARRÊT", ConsentWord.OPT_OUT),
        ("arre\u0302t", ConsentWord.OPT_OUT),
        ("STOP ALL", ConsentWord.OPT_OUT_ALL),
        ("“Start”", ConsentWord.OPT_IN),
        (" " * 4000 + "start", ConsentWord.OPT_IN),
    ],
)
def test_a_word_is_read_however_it_is_written(text: str, word: ConsentWord) -> None:
    assert WORDS.read(text) is word


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "   ",
        "🛑",
        "cancel",
        "end",
        "yes",
        "no",
        "stop, I am late",
        "please stop",
        "stop it",
        "bus stop",
        "nonstop",
        "start again",
        "I quit my job",
        "unsubscribe me",
        "stop 1",
        "st op",
        "stop\x00" * 30,
        "stop " * 1000,
    ],
)
def test_what_is_no_word_of_the_list_says_nothing(text: str | None) -> None:
    assert WORDS.read(text) is None


def dressed(text: str, chance: random.Random) -> str:
    """The same word as somebody may type it."""
    cased = "".join(chance.choice((letter.upper(), letter.lower())) for letter in text)
    parts = [chance.choice(BLANKS) if letter == " " else letter for letter in cased]
    for _ in range(chance.randrange(5)):
        parts.insert(chance.randrange(len(parts) + 1), chance.choice(DRESS))
    return chance.choice(["", *BLANKS]) + "".join(parts) + chance.choice(["", *BLANKS])


def test_a_word_stays_itself_in_every_dress() -> None:
    chance = random.Random(11)

    for _ in range(20_000):
        text, word = chance.choice(ALL)
        assert WORDS.read(told := dressed(text, chance)) is word, ascii(told)


def sentence(chance: random.Random) -> str:
    """Two to eight parts: words of the list, others, and letters by chance; never one of the list alone."""
    parts = [
        chance.choice(VOCABULARY)
        if chance.random() < 0.8
        else "".join(chance.choices(string.ascii_lowercase + "éß", k=chance.randrange(1, 9)))
        for _ in range(chance.randrange(2, 9))
    ]
    joined = "".join(part + chance.choice([*BLANKS, ", ", ". ", " 🛑 "]) for part in parts)
    return "".join(letter.upper() if chance.random() < 0.1 else letter for letter in joined)


def find_misread(seed: int, count: int) -> list[str]:
    """Sentences that are taken for a word, and whose own words in their order are none of the list."""
    chance, known = random.Random(seed), {text for text, _ in ALL}
    told = (sentence(chance) for _ in range(count))
    return [
        text
        for text in told
        if WORDS.read(text) and " ".join(re.findall(r"\w+", text.casefold())) not in known
    ]


def test_no_sentence_is_a_word() -> None:
    assert find_misread(seed=7, count=100_000) == []


def test_normalising_twice_changes_nothing_more() -> None:
    chance = random.Random(5)

    for _ in range(5_000):
        text = "".join(
            chr(chance.choice((chance.randrange(128), chance.randrange(0xD800)))) for _ in range(12)
        )
        assert normalise(once := normalise(text)) == once, ascii(text)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"message_text": "STOP"}, ConsentWord.OPT_OUT),
        ({"content": {"type": "text", "text": {"body": "Stop"}}}, ConsentWord.OPT_OUT),
        ({"content": {"body": "start"}}, ConsentWord.OPT_IN),
        (
            {"message_type": "button", "content": {"button": {"payload": "x", "text": "Stop promotions"}}},
            ConsentWord.OPT_OUT,
        ),
        ({"message_type": "button", "content": {"payload": "x", "text": "STOP"}}, ConsentWord.OPT_OUT),
        (
            {
                "message_type": "interactive",
                "content": {
                    "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "Start"}}
                },
            },
            ConsentWord.OPT_IN,
        ),
        (
            {"message_type": "interactive", "content": {"list_reply": {"id": "1", "title": "stop all"}}},
            ConsentWord.OPT_OUT_ALL,
        ),
        ({"message_type": "image", "message_text": "stop"}, None),
        ({"message_type": "reaction", "content": {"reaction": {"emoji": "🛑"}}}, None),
        ({"message_type": "interactive"}, None),
        ({"message_type": "interactive", "content": {"interactive": None, "button_reply": "stop"}}, None),
        ({"content": {"text": {"body": ["stop"]}}}, None),
    ],
)
def test_a_text_or_a_button_is_read_and_nothing_else(
    fields: dict[str, Any], word: ConsentWord | None
) -> None:
    assert WORDS.read_message(message(**fields)) is word
