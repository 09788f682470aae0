"""The server as a process: pages, numbers, how it starts and how it stops."""

import re
import signal
import threading
from types import SimpleNamespace

import pytest

from heedful._errors import DataError, HeedfulError
from heedful.serve.limits import Limits
from tests.cli.conftest import start

from .clients import WARM, Client, Paced, serving, until


def test_the_pages_need_nothing_from_outside(client):
    for path in ("/", "/docs"):
        page = client.ask(path)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        text = page.body.decode()
        assert "default-src 'none'" in text
        assert not re.findall(r"""(?:src|href)=["'](?!data:|docs|\./|openapi\.json)""", text)
        assert set(re.findall(r"https?://[\w.:]+", text)) <= {"http://www.w3.org", "http://localhost:8000"}


def test_the_documentation_names_every_path_field_and_status(client):
    text, openapi = client.ask("/docs").body.decode(), client.ask("/openapi.json").json
    assert set(openapi["paths"]) == {"/translate", "/health", "/metrics"}
    for schema in ("TranslateRequest", "Best", "Reply"):
        shown = (
            openapi["components"]["schemas"][schema]["properties"] if schema != "Best" else ["model", "translations"]
        )
        assert all(f"<code>{name}</code>" in text for name in shown)
    assert all(f"<h3>{status}</h3>" in text for status in (200, 400, 401, 408, 413, 415, 422, 503))


def test_health_and_numbers(client):
    assert client.ask("/health").json == {"status": "ready", "model": "small"}
    before = {
        status: client.number("heedful_requests_total", path="/translate", status=status) for status in ("200", "422")
    }
    client.translate(["I love you.", "Go!"])
    client.translate("")
    for status, number in before.items():
        assert client.number("heedful_requests_total", path="/translate", status=status) == number + 1
    assert client.ask("/metrics").headers["content-type"].startswith("text/plain; version=")
    for name in ("heedful_request_seconds_count", "heedful_batch_sentences_sum", "heedful_batch_tokens_sum"):
        assert client.number(name) > 0
    assert client.number("heedful_queue_sentences") == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_answers_what_has_come_and_takes_nothing_new(translator, workers):
    paced, replies = Paced(translator, workers), []
    with serving(paced, Limits(window=0.0)) as client:
        until(lambda: paced.calls == [WARM])
        paced.go.clear()
        threads = [threading.Thread(target=lambda: replies.append(client.translate(["Go!"] * 3))) for _ in range(6)]
        for thread in threads:
            thread.start()
        until(lambda: client.number("heedful_queue_sentences") + sum(map(len, paced.calls[1:])) == 18)
        client.server.handle_exit(signal.SIGINT, None)

        def closed() -> bool:
            try:
                client.ask("/health")
            except OSError:
                return True
            return False

        until(closed)
        assert not replies
        paced.go.set()
        for thread in threads:
            thread.join(20)
        assert [reply.status for reply in replies] == [200] * 6


def test_a_signal_ends_the_command_with_0_when_all_is_answered(small_run):
    command = start("serve", small_run.model, "--port", "0", "--set", "decoding.max_length=60")
    line = command.stderr.readline().decode()
    said = re.fullmatch(r"Serving small at http://127.0.0.1:(\d+); Ctrl-C stops.\n", line)
    assert said, line
    client = Client(int(said[1]))
    assert client.ask("/health").json["status"] == "ready"
    replies = []
    asked = {"text": ["What do you want to do with that red car?"] * 40, "min_length": 60, "max_ratio": None}
    threads = [
        threading.Thread(target=lambda: replies.append(client.ask("/translate", asked).status)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    until(lambda: client.number("heedful_queue_sentences") > 30)
    command.send_signal(signal.SIGTERM)
    out, err = command.communicate(timeout=30)
    for thread in threads:
        thread.join(5)
    assert (command.returncode, out, err) == (0, b"", b"Stopped.\n")
    assert replies == [200] * 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 lets other machines connect, so clients must know a token; set HEEDFUL_TOKEN"),
        (["--queue", "9"], "a request may have 256 sentences, but the queue holds 9; lengthen the queue"),
    ],
)
def test_the_command_refuses_in_one_sentence(small_run, options, sentence):
    from typer.testing import CliRunner

    from heedful.cli.main import app

    result = CliRunner().invoke(app, ["serve", str(small_run.model), *options], env={"HEEDFUL_TOKEN": None})
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {sentence}")


def test_without_the_extra_it_says_how_to_get_it(small_run, monkeypatch):
    from typer.testing import CliRunner

    from heedful.cli.main import app

    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["serve", str(small_run.model)])
    assert (result.exit_code, result.stderr) == (1, "Error: uvicorn is missing; pip install 'heedful[serve]'\n")


def test_it_does_not_start_with_options_that_the_model_has_no_use_for(translator):
    from heedful.cli.serve import run

    decoding = translator.recipe.decoding.model_copy(update={"shortlist": 5})
    with pytest.raises(DataError, match=r"decoding\.shortlist is 5, but the model has none"):
        run(translator, decoding, Limits(), None, None)


def test_a_model_that_reads_pictures_is_not_served():
    from heedful.cli.serve import run

    captioner = SimpleNamespace(task="caption", recipe=SimpleNamespace(name="dogs", task="caption"))
    with pytest.raises(HeedfulError, match="dogs writes captions of files on this machine"):
        run(captioner, None, Limits(), None, None)
