"""Language-independent statistics of texts: length, character classes, words, novelty."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DomainError, ShapeError

Floats = NDArray[np.float64]

_LETTER: Final = 1
_UPPER: Final = 2
_DIGIT: Final = 4
_SPACE: Final = 8
_PUNCTUATION: Final = 16
_CLASSES: Final = {
    "L": _LETTER,
    "M": _LETTER,  # a combining accent belongs to its letter
    "N": _DIGIT,
    "Z": _SPACE,
    "P": _PUNCTUATION,
    "S": _PUNCTUATION,
}
_CODE_BITS: Final = 21
"""Of a code point: three of them fit into one int64, without collisions."""


class TextStatistics(NamedTuple):
    """Numeric variables of each text, shape (n,) each; shares are in [0, 1]."""

    length: Floats
    """Code points."""
    letter_share: Floats
    digit_share: Floats
    space_share: Floats
    punctuation_share: Floats
    """Punctuation and symbols."""
    upper_share: Floats
    """Share of letters in upper and title case; 0 in scripts without case."""
    mean_word_length: Floats
    """Mean code points per word; a word is a run of letters, marks and digits."""
    out_of_vocabulary_share: Floats
    """Of the character trigrams: those the reference lacks; NaN without a vocabulary."""


@dataclass(frozen=True, slots=True)
class TrigramVocabulary:
    """Character trigrams of a reference, with the number of texts that contain them.

    Parameters
    ----------
    keys : ndarray of int64, shape (m,)
        Trigrams, sorted; three code points of 21 bits.
    n_texts : ndarray of int64, shape (m,)
        Number of texts of the reference that contain each trigram.

    Notes
    -----
    16 bytes a trigram: some 10,000 trigrams for a European language, a few 100,000 for one
    written in thousands of characters. Mergeable: :meth:`merge` of pieces is the whole's.
    """

    keys: NDArray[np.int64]
    n_texts: NDArray[np.int64]

    @staticmethod
    def of(texts: Sequence[str | None]) -> TrigramVocabulary:
        """Collect the trigrams of a reference.

        Parameters
        ----------
        texts : sequence of str or None
            None is missing.

        Returns
        -------
        TrigramVocabulary

        Raises
        ------
        ShapeError
            If something is neither text nor None.

        Examples
        --------
        >>> vocabulary = TrigramVocabulary.of(["aaaa", "aa", None])
        >>> len(vocabulary), vocabulary.n_texts.tolist()
        (3, [2, 2, 1])
        """
        keys, owner = _trigrams(_checked(texts))
        order = np.lexsort((owner, keys))
        keys, owner = keys[order], owner[order]
        is_first = np.ones(len(keys), bool)
        is_first[1:] = (keys[1:] != keys[:-1]) | (owner[1:] != owner[:-1])
        found, n_texts = np.unique(keys[is_first], return_counts=True)
        return TrigramVocabulary(found, n_texts.astype(np.int64))

    def __len__(self) -> int:
        return len(self.keys)

    def merge(self, other: TrigramVocabulary) -> TrigramVocabulary:
        """Return the vocabulary of both references; the empty one is the identity."""
        keys, at = np.unique(np.concatenate((self.keys, other.keys)), return_inverse=True)
        n_texts = np.zeros(len(keys), np.int64)
        np.add.at(n_texts, at, np.concatenate((self.n_texts, other.n_texts)))
        return TrigramVocabulary(keys, n_texts)

    def holds(self, keys: NDArray[np.int64], n_least: int) -> NDArray[np.bool_]:
        """Return which trigrams occur in at least ``n_least`` texts."""
        if not len(self):
            return np.zeros(len(keys), bool)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self) - 1)
        is_held: NDArray[np.bool_] = (self.keys[at] == keys) & (self.n_texts[at] >= n_least)
        return is_held


def text_statistics(
    texts: Sequence[str | None],
    vocabulary: TrigramVocabulary | None = None,
    *,
    is_reference: bool = False,
) -> TextStatistics:
    """Describe each text by numbers that can be binned and compared like any feature.

    Prefer them to categories where nearly every text is another one, and to an embedding's
    drift where no model is at hand: they see another language, another encoding, truncation,
    markup, templates and empty answers; they do not see what is meant.

    Parameters
    ----------
    texts : sequence of str or None
        None is missing.
    vocabulary : TrigramVocabulary, optional
        Of the reference.
    is_reference : bool
        Whether the vocabulary was built from these texts.

    Returns
    -------
    TextStatistics
        All NaN where a text is missing. Of an empty one only the length is known; the
        upper share is NaN without letters, the mean word length without words.

    Raises
    ------
    ShapeError
        If something is neither text nor None.
    DomainError
        If ``is_reference`` is set without a vocabulary.

    Notes
    -----
    Classes are Unicode's general categories: letters L and M, digits N, spaces Z and the
    white-space controls, punctuation P and S; the rest, controls and unassigned, is in none,
    so shares may sum to less than 1. Texts are taken as they are, without normalisation: a
    change between composed and decomposed accents shows, as it would to the model.

    Trigrams are of the case-folded text with one space before and after it. A vocabulary
    knows all trigrams of the texts it was made of, so their own share would be 0 and every
    later text would look new. With ``is_reference`` a trigram counts as known where another
    text of the reference holds it: each text is measured against all others, as a later one
    is measured against the reference, and without drift the shares have one distribution
    (leaving one out; Good's estimate of the unseen is the same argument for categories).

    A language written without spaces has long words, which is no fault where it is
    compared with itself. O(characters log characters); each text by itself, so pieces of
    the input give the same numbers.

    References
    ----------
    The Unicode Standard, section 4.5, general category.
    Cavnar and Trenkle, N-gram-based text categorization, SDAIR 1994 (trigrams know the
    language). Good, Biometrika 40 (1953).

    Examples
    --------
    >>> found = text_statistics(["Ab 1!", "", None])
    >>> found.length.tolist(), found.letter_share.tolist(), found.upper_share.tolist()
    ([5.0, 0.0, nan], [0.4, nan, nan], [0.5, nan, nan])
    >>> vocabulary = TrigramVocabulary.of(["the cat", "the hat"])
    >>> text_statistics(["the cat", "zzz"], vocabulary).out_of_vocabulary_share.tolist()
    [0.0, 1.0]
    """
    if is_reference and vocabulary is None:
        raise DomainError(
            "is_reference without a vocabulary",
            where="text_statistics",
            fix="pass TrigramVocabulary.of(texts)",
        )
    given = _checked(texts)
    is_missing = np.array([text is None for text in texts], bool)
    codes, owner = _code_points(given)
    classes = _classes(codes)
    length = np.bincount(owner, minlength=len(given)).astype(np.float64)

    def n_of(mask: int) -> Floats:
        return np.bincount(owner[(classes & mask) > 0], minlength=len(given)).astype(np.float64)

    letters = n_of(_LETTER)
    words = _n_words(classes, owner, len(given))
    novelty = _novelty(given, vocabulary, 2 if is_reference else 1)
    return TextStatistics(
        np.where(is_missing, np.nan, length),
        _ratio(letters, length),
        _ratio(n_of(_DIGIT), length),
        _ratio(n_of(_SPACE), length),
        _ratio(n_of(_PUNCTUATION), length),
        _ratio(n_of(_UPPER), letters),
        _ratio(n_of(_LETTER | _DIGIT), words),
        novelty,
    )


def _checked(texts: Sequence[object]) -> list[str]:
    """Missing texts as empty ones; anything else that is no text is refused."""
    if isinstance(texts, str):
        raise ShapeError("one text", where="texts", fix="pass a sequence of texts")
    wrong = next((t for t in texts if t is not None and not isinstance(t, str)), None)
    if wrong is not None:
        raise ShapeError(f"{wrong!r} is no text", where="texts", fix="pass str or None")
    return [text if isinstance(text, str) else "" for text in texts]


def _code_points(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All characters end to end, and the text that owns each."""
    joined = "".join(texts).encode("utf-32-le", "surrogatepass")
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return np.frombuffer(joined, "<u4").astype(np.int64), np.repeat(np.arange(len(texts)), lengths)


def _classes(codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the class of each character; each distinct one is looked up once."""
    distinct, at = np.unique(codes, return_inverse=True)
    found = np.fromiter(map(_class_of, distinct.tolist()), np.uint8, len(distinct))
    return found[at]


def _class_of(code: int) -> int:
    """Class of one code point."""
    character = chr(code)
    if character.isspace():
        return _SPACE
    category = unicodedata.category(character)
    upper = _UPPER if category in ("Lu", "Lt") else 0
    return _CLASSES.get(category[0], 0) | upper


def _n_words(classes: NDArray[np.uint8], owner: NDArray[np.int64], n: int) -> Floats:
    """Runs of letters, marks and digits of each text."""
    is_word = (classes & (_LETTER | _DIGIT)) > 0
    is_start = is_word.copy()
    is_start[1:] &= ~is_word[:-1] | (owner[1:] != owner[:-1])
    return np.bincount(owner[is_start], minlength=n).astype(np.float64)


def _trigrams(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the trigrams of all texts, with the index of their text."""
    codes, owner = _code_points([f" {text.casefold()} " if text else "" for text in texts])
    keys = codes[:-2] << 2 * _CODE_BITS | codes[1:-1] << _CODE_BITS | codes[2:]
    is_within = owner[:-2] == owner[2:]
    return keys[is_within], owner[:-2][is_within]


def _novelty(texts: Sequence[str], vocabulary: TrigramVocabulary | None, n_least: int) -> Floats:
    """Share of each text's trigrams that the vocabulary lacks."""
    if vocabulary is None:
        return np.full(len(texts), np.nan)
    keys, owner = _trigrams(texts)
    is_new = ~vocabulary.holds(keys, n_least)
    n_all = np.bincount(owner, minlength=len(texts)).astype(np.float64)
    return _ratio(np.bincount(owner[is_new], minlength=len(texts)).astype(np.float64), n_all)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return a ratio; NaN if the denominator is 0."""
    ratio = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
