"""JSON strings: where they end, whether escapes and UTF-8 are well-formed, times they hold."""

from __future__ import annotations

import numpy as np

from detectors.kernels.jit import inlined, kernel
from monitor.decode.memory import (
    Address,
    load_byte,
    load_int,
    load_word,
    non_plain,
    non_texts,
    trailing_zeros,
)
from monitor.decode.numbers import count_digits, digits_value

_REFUSED = -(1 << 40)


@kernel
def utf8_end(p: Address, end: Address) -> Address:
    """Address after a run of well-formed non-ASCII UTF-8 in [p, end), or -1.

    Notes
    -----
    The well-formed byte sequences of The Unicode Standard 15, table 3-7: no
    overlong forms, no surrogates, nothing above U+10FFFF. Reads at most three
    bytes past a truncated sequence.
    """
    while p < end:
        lead = load_byte(p)
        if lead < 0x80:
            break
        second = load_byte(p + 1)
        if 0xC2 <= lead <= 0xDF:
            if second & 0xC0 != 0x80:
                return -1
            p += 2
            continue
        third = load_byte(p + 2)
        if 0xE0 <= lead <= 0xEF:
            low = 0xA0 if lead == 0xE0 else 0x80
            high = 0x9F if lead == 0xED else 0xBF
            if second < low or second > high or third & 0xC0 != 0x80:
                return -1
            p += 3
            continue
        low = 0x90 if lead == 0xF0 else 0x80
        high = 0x8F if lead == 0xF4 else 0xBF
        if lead < 0xF0 or lead > 0xF4 or second < low or second > high:
            return -1
        if third & 0xC0 != 0x80 or load_byte(p + 3) & 0xC0 != 0x80:
            return -1
        p += 4
    return p


@inlined
def string_end(p: Address, end: Address) -> Address:
    """Address of the quote that closes the string whose text starts at p, or -1.

    32 bytes a step. -1: an escape, a control character, invalid UTF-8, or no quote
    before ``end`` (a hit up to 31 bytes later is the caller's to refuse).
    """
    q = p
    found = np.int64(-1)
    while q < end:
        flags = non_texts(q)
        if flags == 0:
            q += 32
            continue
        q += trailing_zeros(np.uint64(flags))
        byte = load_byte(q)
        if byte < 0x80:
            if byte == 0x22:
                found = q
            break
        q = utf8_end(q, end)
        if q < 0:
            break
    return found


@kernel
def hex_value(p: Address) -> int:
    """Value of the four hexadecimal digits at p, or -1."""
    value = np.int64(0)
    for k in range(4):
        byte = load_byte(p + k)
        if 0x30 <= byte <= 0x39:
            digit = byte - 0x30
        elif 0x61 <= byte | 0x20 <= 0x66:
            digit = (byte | 0x20) - 0x57
        else:
            return -1
        value = value << 4 | digit
    return value


@kernel
def escape_end(p: Address) -> Address:
    """Address after the escape whose backslash is at p, or -1.

    A surrogate is accepted only as a pair. Reads at most twelve bytes.
    """
    byte = load_byte(p + 1)
    if byte != 0x75:
        is_known = byte == 0x22 or byte == 0x5C or byte == 0x2F or byte == 0x62
        is_known = is_known or byte == 0x66 or byte == 0x6E or byte == 0x72 or byte == 0x74
        return p + 2 if is_known else np.int64(-1)
    unit = hex_value(p + 2)
    if unit < 0 or 0xDC00 <= unit <= 0xDFFF:
        return -1
    if unit >= 0xD800:
        if unit > 0xDBFF:
            return p + 6
        if load_byte(p + 6) != 0x5C or load_byte(p + 7) != 0x75:
            return -1
        low = hex_value(p + 8)
        return p + 12 if 0xDC00 <= low <= 0xDFFF else np.int64(-1)
    return p + 6


@kernel
def escaped_end(p: Address, end: Address) -> Address:
    """As :func:`string_end`, of a string that may hold escapes."""
    while p < end:
        flags = non_texts(p)
        if flags == 0:
            p += 32
            continue
        p += trailing_zeros(np.uint64(flags))
        byte = load_byte(p)
        if byte == 0x22:
            return p
        if byte == 0x5C:
            p = escape_end(p)
        elif byte >= 0x80:
            p = utf8_end(p, end)
        else:
            return -1
        if p < 0:
            return -1
    return -1


@kernel
def text_end(p: Address, end: Address) -> Address:
    """Address of the quote that closes an ignored string whose text starts at p, or -1.

    Escapes are checked, UTF-8 is not, as msgspec does where it skips a value.
    """
    q = p
    found = np.int64(-1)
    while q < end:
        flags = non_plain(q)
        if flags == 0:
            q += 32
            continue
        q += trailing_zeros(np.uint64(flags))
        byte = load_byte(q)
        if byte == 0x22:
            found = q
            break
        if byte != 0x5C:
            break
        q = escape_end(q)
        if q < 0:
            break
    return found


@kernel
def two_digits(p: Address) -> int:
    """Value of the two digits at p; very negative where they are none."""
    tens, ones = load_byte(p) - 0x30, load_byte(p + 1) - 0x30
    is_good = 0 <= tens <= 9 and 0 <= ones <= 9
    return 10 * tens + ones if is_good else np.int64(_REFUSED)


@kernel
def days_since_1970(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar, or -1 for no date.

    References
    ----------
    E. G. Richards, Calendars, in: Explanatory Supplement to the Astronomical Almanac, 3rd
    edition, 2013, section 15.11: counting years from March, so that a leap day ends one.
    """
    if year < 1970 or month < 1 or month > 12 or day < 1 or day > 31:
        return -1
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2 and day > 28 + is_leap:
        return -1
    if day > 30 and (month == 4 or month == 6 or month == 9 or month == 11):
        return -1
    since_march = month - 3 if month > 2 else month + 9
    years = year if month > 2 else year - 1
    days = 365 * years + years // 4 - years // 100 + years // 400
    return days + (153 * since_march + 2) // 5 + day - 719_469


@kernel
def moment_end(p: Address, powers: Address) -> tuple[int, Address]:
    """(microseconds since 1970, address after it) of the usual ISO 8601 text at p.

    ``"YYYY-MM-DDTHH:MM:SS"``, with quotes; a blank for the T, a fraction of up to 15 digits
    and a zone (Z or +HH:MM) are taken. Address -1 for anything else, which is left to
    :mod:`driftline.times`. Reads at most 50 bytes.
    """
    q = p + 1
    days = days_since_1970(
        100 * two_digits(q) + two_digits(q + 2), two_digits(q + 5), two_digits(q + 8)
    )
    hour, minute, second = two_digits(q + 11), two_digits(q + 14), two_digits(q + 17)
    is_good = load_byte(p) == 0x22 and load_byte(q + 4) == 0x2D and load_byte(q + 7) == 0x2D
    between = load_byte(q + 10)
    is_good = is_good and (between == 0x54 or between == 0x20) and days >= 0
    is_good = is_good and load_byte(q + 13) == 0x3A and load_byte(q + 16) == 0x3A
    is_good = is_good and 0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59
    if not is_good:
        return 0, np.int64(-1)
    q += 19
    value_us = (86_400 * days + 3_600 * hour + 60 * minute + second) * 1_000_000
    byte = load_byte(q)
    if byte == 0x2E or byte == 0x2C:
        word = load_word(q + 1)
        n = count_digits(word)
        kept = min(n, 6)
        value_us += np.int64(digits_value(word, kept)) * load_int(powers + 8 * (6 - kept))
        if n == 8:
            n += count_digits(load_word(q + 9))
        if n == 0 or n == 16:
            return 0, np.int64(-1)
        q += 1 + n
        byte = load_byte(q)
    if byte == 0x5A:
        q += 1
    elif byte == 0x2B or byte == 0x2D:
        hours, minutes = two_digits(q + 1), two_digits(q + 4)
        if load_byte(q + 3) != 0x3A or not (0 <= hours <= 23 and 0 <= minutes <= 59):
            return 0, np.int64(-1)
        offset_us = (3_600 * hours + 60 * minutes) * 1_000_000
        value_us += offset_us if byte == 0x2D else -offset_us
        q += 6
    if load_byte(q) != 0x22 or value_us < 0:
        return 0, np.int64(-1)
    return value_us, q + 1
