"""What a person, or a log file, sees of a run."""

import io
import signal
import threading
import time

import pytest
from rich.console import Console

from heedful.training.interruption import Interruption
from heedful.training.progress import SECONDS_BETWEEN_LINES, Display, clock


def test_a_log_gets_a_plain_line_now_and_then(monkeypatch):
    now, text = [0.0], io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    display = Display(Console(file=text, width=20))
    for step in range(1, 8):
        now[0] = step * SECONDS_BETWEEN_LINES / 3
        display.update(step, 3.5, 2800.4, fraction=0.25, seconds=now[0])
    display.close()
    assert text.getvalue().splitlines() == [
        "step 3  loss 3.500  2,800 tokens/s  1:30 left  (25%)",
        "step 6  loss 3.500  2,800 tokens/s  3:00 left  (25%)",
    ]


def test_a_terminal_gets_a_bar_that_goes_away():
    text = io.StringIO()
    display = Display(Console(file=text, force_terminal=True, width=120, highlight=False))
    display.update(5, 3.5, 2800.0, fraction=0.5, seconds=10.0)
    display.say("Validation of step 5: [loss] 3")
    display.close()
    assert "step 5  loss 3.500  2,800 tokens/s  0:10 left" in text.getvalue()
    assert "Validation of step 5: [loss] 3" in text.getvalue()


def test_without_a_limit_the_time_left_is_unknown(monkeypatch):
    text = io.StringIO()
    display = Display(Console(file=text))
    display.last_line = -SECONDS_BETWEEN_LINES
    display.update(5, 3.5, 2800.0, fraction=0.0, seconds=10.0)
    assert "unknown left" in text.getvalue()


def test_it_writes_to_standard_error_only(capsys):
    display = Display()
    display.say("hello")
    display.close()
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0:00"), (59.9, "0:59"), (3599.0, "59:59"), (90000.0, "25:00:00")])
def test_a_clock_reads_as_people_do(seconds, text):
    assert clock(seconds) == text


def test_a_second_signal_stops_at_once_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interruption() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_request_before_long_work_stops_it_from_beginning():
    with Interruption() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stop.at_once():
            pytest.fail("the work began")


def test_in_another_thread_signals_are_left_alone():
    errors = []

    def work():
        try:
            with Interruption():
                pass
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
