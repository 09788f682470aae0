"""Points in time of the rows of a table: how they are read, that they rise evenly, and how they go on."""

import calendar
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from heedful._errors import DataError, brief

# a step so many times as long as most is a gap: months are not equally long, and neither are days
LONG_STEP = 1.5
# rows that tell the usual step
USUAL_ROWS = 500
# characters of 2016-07 and of 2016-07-01
MONTH, DATE = 7, 10


def parse_time(cell: str) -> datetime | None:
    """A time as ISO 8601 writes it, or a month, which is its first day; None for anything else.

    >>> parse_time("1949-02"), parse_time("February")
    (datetime.datetime(1949, 2, 1, 0, 0), None)
    """
    try:
        return datetime.fromisoformat(f"{cell}-01" if re.fullmatch(r"\d{4}-\d\d", cell) else cell)
    except ValueError:
        return None


def times_after(times: Sequence[str], count: int, origin: str) -> list[str]:
    """The times of so many rows behind the last, in steps of the usual length, or of whole months.

    Args:
        times: of the rows, rising; anything that is no time is counted on.
        count: rows.
        origin: what to call the table.

    Raises:
        DataError: no calendar goes so far.

    >>> times_after(["2016-07-01 22:00", "2016-07-01 23:00"], 2, "")
    ['2016-07-02 00:00:00', '2016-07-02 01:00:00']
    >>> times_after(["2016-11-30", "2016-12-31", "2017-01-31"], 2, "")
    ['2017-02-28', '2017-03-31']
    >>> times_after(["0", "1"], 1, "")
    ['2']
    """
    recent = times[-USUAL_ROWS:]
    known = [time for cell in recent if (time := parse_time(cell)) is not None]
    if len(known) < len(recent) or len(known) < 2:
        last = int(times[-1]) if times[-1].isdecimal() else len(times) - 1
        return [str(last + step) for step in range(1, count + 1)]
    try:
        if months := _months_between(known):
            later = [_add_months(known[-1], step * months, _end_of_month(known)) for step in range(1, count + 1)]
        else:
            usual = usual_step([later - earlier for earlier, later in pairwise(known)])
            later = [known[-1] + step * usual for step in range(1, count + 1)]
    except (OverflowError, ValueError):
        raise DataError(f"{origin}: no calendar goes {count} steps beyond {times[-1]}.") from None
    return _written(later, recent)


def _months_between(times: list[datetime]) -> int:
    """How many months a step has, where all have as many and nothing but the month changes; 0 otherwise."""
    steps = {12 * (later.year - earlier.year) + later.month - earlier.month for earlier, later in pairwise(times)}
    rest = {(time.day, time.timetz()) for time in times}
    even = len(rest) == 1 or (_end_of_month(times) and len({clock for _, clock in rest}) == 1)
    return steps.pop() if even and len(steps) == 1 else 0


def _end_of_month(times: list[datetime]) -> bool:
    return all(time.day == calendar.monthrange(time.year, time.month)[1] for time in times)


def _add_months(time: datetime, months: int, to_end: bool) -> datetime:
    years, month = divmod(time.month - 1 + months, 12)
    year, month = time.year + years, month + 1
    return time.replace(year=year, month=month, day=calendar.monthrange(year, month)[1] if to_end else time.day)


def _written(times: list[datetime], like: Sequence[str]) -> list[str]:
    """As the rows before have them: months stay months and days days."""
    lengths = {len(cell) for cell in like}
    if lengths == {MONTH}:
        return [time.strftime("%Y-%m") for time in times]
    dates = lengths == {DATE} and not any(time.hour for time in times)
    return [str(time.date() if dates else time) for time in times]


def usual_step(steps: list[timedelta]) -> timedelta:
    """The step in the middle, by length."""
    return sorted(steps)[len(steps) // 2]


def check_times(times: Sequence[str], lines: Sequence[int], gaps: bool, path: str) -> None:
    """Refuse times that are none, do not rise or, unless `gaps` are welcome, leave one out.

    Raises:
        DataError: says which line of `path`, and the way out.
    """
    found: list[datetime] = []
    for cell, line in zip(times, lines, strict=True):
        one = parse_time(cell)
        if one is None:
            raise DataError(
                f"{path}, line {line}: the time is {brief(cell)}; expected one such as 2016-07-01 13:00 or 2016-07, or "
                "leave the column out and name the others as data.series.columns."
            )
        found.append(one)
    try:
        steps = [later - earlier for earlier, later in pairwise(found)]
    except TypeError:
        raise DataError(f"{path}: some times have a time zone and some have none; give all of them the same.") from None
    if not steps:
        return
    usual = usual_step(steps)
    for place, step in enumerate(steps, start=1):
        if step.total_seconds() <= 0:
            raise DataError(
                f"{path}, line {lines[place]}: the time {times[place]} does not come after {times[place - 1]}; sort "
                "the rows by time, each time once."
            )
        if step > LONG_STEP * usual and not gaps:
            raise DataError(
                f"{path}, line {lines[place]}: the times jump from {times[place - 1]} to {times[place]}, where "
                f"{_said(usual)} is usual; fill the gap in, or train with data.series.gaps: true, which takes the rows "
                "as neighbours."
            )


def _said(step: timedelta) -> str:
    """As a person says it.

    >>> _said(timedelta(days=1)), _said(timedelta(hours=1))
    ('1 day', '1:00:00')
    """
    return str(step).removesuffix(", 0:00:00")
