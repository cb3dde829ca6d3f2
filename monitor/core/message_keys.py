"""Message keys: names joined by ``|``, which is escaped within names."""

from __future__ import annotations


def join_key(*names: object) -> str:
    """Return the key of names and numbers; distinct parts give distinct keys.

    Examples
    --------
    >>> join_key("t", "a|b", "50%", 7)
    't|a%7Cb|50%25|7'
    """
    return "|".join(str(name).replace("%", "%25").replace("|", "%7C") for name in names)


def split_key(key: str) -> list[str]:
    """Return the names of a key.

    Examples
    --------
    >>> split_key("t|a%7Cb|50%25")
    ['t', 'a|b', '50%']
    """
    return [name.replace("%7C", "|").replace("%25", "%") for name in key.split("|")]
