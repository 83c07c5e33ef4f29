"""RFC 3339 date-times as numbers: seconds since 1970-01-01T00:00:00Z, without a clock or a calendar library."""

import re
from typing import Final

# RFC 3339 5.6; "T" and "Z" may be small there.
_DATE_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH: Final = 719_162  # days from 0001-01-01 to 1970-01-01


def parse(text: str) -> int:
    """Answer the whole seconds of a date-time (a part of a second is dropped); ValueError if it is none."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a date-time of RFC 3339")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= _days(year, month)):
        raise ValueError("a date that is not in the calendar")
    # RFC 3339 5.7: a leap second is the last of its minute; it counts as the next minute's first here.
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("a time that is not on the clock")
    return 86_400 * _day(year, month, day) + 3600 * hour + 60 * minute + second - _offset(match)


def encode(seconds: int) -> str:
    """Write whole seconds since 1970 as a date-time in UTC; ValueError from the year 10000 on, where there is none."""
    days, rest = divmod(seconds, 86_400)
    year = 1970 + days // 366  # never too late
    while _day(year + 1, 1, 1) <= days:
        year += 1
    if not seconds >= 0 or year > 9999:
        raise ValueError("a time that RFC 3339 does not write")
    month = next(month for month in range(12, 0, -1) if _day(year, month, 1) <= days)
    day = days - _day(year, month, 1) + 1
    return f"{year:04}-{month:02}-{day:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def _offset(match: re.Match[str]) -> int:
    if match[8] is None:
        return 0
    hours, minutes = int(match[9]), int(match[10])
    if hours > 23 or minutes > 59:
        raise ValueError("an offset that is not on the clock")
    return (-60 if match[8] == "-" else 60) * (60 * hours + minutes)


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days(year: int, month: int) -> int:
    return _DAYS[month - 1] + (month == 2 and _leap(year))


def _day(year: int, month: int, day: int) -> int:
    """Count the days since 1970-01-01."""
    before = year - 1
    leaps = before // 4 - before // 100 + before // 400
    return 365 * before + leaps + sum(_days(year, each) for each in range(1, month)) + day - 1 - _EPOCH
