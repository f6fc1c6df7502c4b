"""Words by which a customer tells in a chat what they want: STOP, STOPALL, START, and their like. Pure.

Owns how a text is compared (whole, whatever its case, punctuation and emoji) and where it stands in a
message. A sentence is never a word: "stop, I am late" says nothing of consent.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from shared.payloads import InboundMessage

#: A longer text is a sentence, or somebody leans on a key.
LONGEST_TEXT: Final = 100
#: Kinds of messages in which a customer says something: what they typed, and the button that they touched.
_SPOKEN: Final = frozenset({"text", "button", "interactive"})
#: Selectors of how a character is shown, as emoji have them.
_SELECTORS: Final = range(0xFE00, 0xFE10)


class ConsentWord(StrEnum):
    """What a word says: yes to marketing, no to marketing, no to everything that is sent by itself."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    OPT_OUT_ALL = "opt_out_all"


#: What counts unless CONSENT_WORDS_FILE says otherwise. Not `cancel`, `end`, `yes` and `no`, which answer an
#: agent.
DEFAULT_WORDS: Final[Mapping[ConsentWord, tuple[str, ...]]] = {
    ConsentWord.OPT_OUT: (
        "stop",
        "unsubscribe",
        "optout",
        "opt out",
        "quit",
        "revoke",
        "stop promotions",
        "arret",
        "arrêt",
        "stopp",
        "abmelden",
        "baja",
        "parar",
        "sair",
    ),
    ConsentWord.OPT_OUT_ALL: ("stopall", "stop all"),
    ConsentWord.OPT_IN: ("start", "unstop", "subscribe", "optin", "opt in"),
}


class ConsentWords:
    """Which texts say something of consent. `words`: normalised, each under one meaning."""

    def __init__(self, words: Mapping[ConsentWord, Iterable[str]] = DEFAULT_WORDS) -> None:
        self._meanings = {text: word for word, texts in words.items() for text in texts}

    def read(self, text: str | None) -> ConsentWord | None:
        """What the whole of a text says; None for nearly all."""
        if text is None:
            return None
        if len(text) > LONGEST_TEXT:
            text = text.strip()
            if len(text) > LONGEST_TEXT:
                return None
        return self._meanings.get(normalise(text))

    def read_message(self, message: InboundMessage) -> ConsentWord | None:
        """What a customer's message says: its text, or the button that they touched."""
        if message.message_type not in _SPOKEN:
            return None
        if message.message_text is not None:
            return self.read(message.message_text)
        return None if message.content is None else self.read(_text_in(message.content))


def normalise(text: str) -> str:
    """A text as it is compared: no case, no punctuation, no emoji, one blank between words."""
    if text.isascii():
        return " ".join(text.translate(_ASCII).lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(filter(_is_kept, folded)).split())


def _is_kept(character: str) -> bool:
    category = unicodedata.category(character)
    if category[0] in "PS" or category in ("Cf", "Me"):
        return False
    if category == "Cc":
        return character.isspace()
    return ord(character) not in _SELECTORS


#: What is left out of a text of ASCII letters.
_ASCII: Final = {code: None for code in range(128) if not _is_kept(chr(code))}


def _text_in(content: Mapping[str, Any]) -> str | None:
    """The text in the platform's own object: a typed one, a template's button, or a reply to a choice.

    In some gateways the object of the kind is itself the content.
    """
    inner = next((content[kind] for kind in _SPOKEN if isinstance(content.get(kind), dict)), content)
    reply = inner.get("button_reply") or inner.get("list_reply")
    told = reply.get("title") if isinstance(reply, dict) else inner.get("body", inner.get("text"))
    return told if isinstance(told, str) else None
