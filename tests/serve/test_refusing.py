"""What a server does not take: one sentence each, with a status of its own, and nobody else is held up."""

import socket
import threading
import time

import pytest

from heedful._errors import DataError, HeedfulError
from heedful.serve.limits import Limits
from heedful.tasks.decoding_options import DecodingOptions

from .clients import WARM, Client, Paced, listening_at, serving, until


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b'{"text": "I love', 400, "no JSON in UTF-8: Unterminated string starting at at character 9; send an object"),
        (b"", 422, "the body is missing; send an object such as"),
        (b"\x89PNG\x0d\x0a\x1a\x0a\xff\x00", 400, "The body is no JSON in UTF-8; send an object such as"),
        (b"[" * 9000, 400, "The body is no JSON in UTF-8"),
        (b"[1]", 422, "the body is [1]; send an object such as"),
        (b"{}", 422, "text is missing; send an object such as"),
        (b'{"text": "half \\ud800"}', 422, "text holds half a character (a surrogate), which is no text"),
        ({"text": 5}, 422, "text is 5; expected a sentence"),
        ({"text": ["a", None]}, 422, "text is ['a', None]; expected a sentence, or a list"),
        ({"text": []}, 422, "text has 0 sentences; give 1 to 8 in a request"),
        ({"text": ["a"] * 9}, 422, "text has 9 sentences; give 1 to 8 in a request"),
        ({"text": ["a", " \n"]}, 422, "text[1] is empty; give at least one word"),
        ({"text": "a\0b"}, 422, "text holds a NUL character; take it out"),
        ({"text": "a" * 301}, 422, "text has 301 characters; give at most 300"),
        ({"text": "a", "beem": 2}, 422, "beem is nothing to ask for; did you mean beam?; expected text, n_best,"),
        ({"text": "a", "ensemble": ["/"]}, 422, "ensemble is nothing to ask for"),
        ({"text": "a", "beam": 0}, 422, "beam is 0; it should be greater than 0"),
        ({"text": "a", "beam": "2"}, 422, "beam is '2'; it should be a valid integer"),
        ({"text": "a", "beam": 5}, 422, "beam is 5; this server takes at most 4"),
        ({"text": "a", "n_best": 3}, 422, "n_best is 3; a beam of 2 can return 1 to 2 hypotheses, so widen the beam"),
        ({"text": "a", "n_best": 9, "sample": True}, 422, "n_best is 9; this server takes at most 4"),
        ({"text": "a", "n_best": 4, "sample": True, "risk_draws": 3}, 422, "n_best is 4, more than risk_draws, 3"),
        ({"text": "a", "max_length": 21}, 422, "max_length is 21; this server takes at most 20"),
        ({"text": "a", "groups": 3}, 422, "beam is 2 and groups 3; make the beam a multiple"),
        ({"text": "a", "banned": ["a b"] * 4}, 422, "banned has 4 phrases; this server takes at most 3"),
        (
            {"text": ["a black dog and a cat"] * 8, "n_best": 4, "beam": 4, "alignments": True},
            422,
            "alignments of this text may have",
        ),
        ({"text": "a", "required": ["漢"]}, 422, "cannot be written with the model's vocabulary"),
        ({"text": "a", "shortlist": 5}, 422, "decoding.shortlist is 5, but the model has none; learn one by"),
        ({"text": "a", "seed": 1}, 422, "seed is of use in sampling only"),
        (b'{"text": "a", "temperature": NaN}', 422, "temperature is nan; it should be"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_in_one_sentence(client, body, status, sentence):
    answer = client.ask("/translate", body)
    assert answer.status == status
    assert list(answer.json) == ["detail"]
    assert sentence in answer.json["detail"]
    assert "\n" not in answer.json["detail"]


def test_decoding_that_the_model_cannot_do_is_told_before_a_client_comes(translator):
    from heedful.serve.app import create_app

    with pytest.raises(DataError, match=r"decoding\.shortlist is 5, but the model has none"):
        create_app(translator, decoding=DecodingOptions(shortlist=5))


def test_a_precision_that_this_machine_does_not_have_is_refused(client, monkeypatch):
    def lacking(*_):
        raise ValueError("no VNNI")

    monkeypatch.setattr("heedful.tasks.trained.cheaper", lacking)
    answer = client.translate("a", precision="int8")
    assert (answer.status, answer.json) == (422, {"detail": "decoding.precision is int8: no VNNI."})


def test_paths_methods_and_types_that_there_are_not(client):
    assert client.ask("/nothing").json["detail"].startswith("There is no such page; there are /, /docs")
    assert (client.ask("/nothing").status, client.ask("/translate").status) == (404, 405)
    form = client.ask("/translate", b"text=a", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert (form.status, "send JSON, as Content-Type: application/json" in form.json["detail"]) == (415, True)


def raw(port: int, text: bytes) -> socket.socket:
    """A connection on which this was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(text)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What the server sends until it closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    connection.close()
    return b"".join(parts)


HEADERS = b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 20001\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n"
        + b"2710\r\n"
        + b" " * 10000
        + b"\r\n2710\r\n"
        + b" " * 10000
        + b"\r\n5\r\n     ",
    ],
)
def test_a_body_above_the_limit_is_refused_before_it_has_come(client, rest):
    reply = everything(raw(client.port, HEADERS + rest))
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"The body has more than 20,000 bytes; send the text in several requests." in reply


def test_slow_clients_hold_nobody_up(translator, monkeypatch):
    monkeypatch.setattr("heedful.serve.server.SECONDS_FOR_HEADERS", 0.5)
    with serving(translator, Limits(upload=0.8)) as client:
        assert client.translate("Go!").status == 200
        body = HEADERS + b'Content-Length: 50\r\n\r\n{"te'
        bodies = [raw(client.port, body) for _ in range(40)]
        heads = [raw(client.port, HEADERS[:40]) for _ in range(20)] + [raw(client.port, b"")]
        began = time.monotonic()
        for connection in (*bodies, *heads[:-1]):
            # a byte now and then moves no deadline
            connection.sendall(b"x")
        assert client.translate("Go!").status == 200
        assert time.monotonic() - began < 0.7
        for connection in bodies:
            reply = everything(connection)
            assert reply.startswith(b"HTTP/1.1 408 ")
            assert b"The body did not arrive within 0.8 seconds; send less, or faster." in reply
        assert [everything(connection) for connection in heads] == [b""] * 21
        assert time.monotonic() - began < 5
        assert client.number("heedful_requests_total", status="408") == 40


def test_a_full_queue_a_slow_answer_and_a_client_that_left(translator):
    paced = Paced(translator)
    with serving(paced, Limits(queue=4, sentences=3, window=0.0, answer=1.0)) as client:
        until(lambda: paced.calls == [WARM])
        paced.go.clear()
        replies = []
        first = threading.Thread(target=lambda: replies.append(client.translate("Go!")))
        first.start()
        until(lambda: len(paced.calls) == 2)
        waiting = raw(client.port, HEADERS + b"Content-Length: 25\r\n\r\n" + b'{"text": ["b", "c", "d"]}')
        until(lambda: client.number("heedful_queue_sentences") == 3)
        full = client.translate(["e", "f"])
        assert (full.status, full.headers["retry-after"]) == (503, "1")
        assert full.json["detail"] == "3 sentences wait, and the queue holds 4; try later."
        waiting.close()
        until(lambda: client.number("heedful_requests_total", status="499") == 1)
        # who has left has no place in the queue, though the model is at work still
        later = threading.Thread(target=lambda: client.translate(["e", "f"]))
        later.start()
        until(lambda: client.number("heedful_queue_sentences") == 2)
        first.join(20)
        later.join(20)
        assert (replies[0].status, replies[0].headers["retry-after"]) == (503, "10")
        assert replies[0].json["detail"] == "It was not translated within 1 seconds; send less at once."
        paced.go.set()
        assert client.translate("g").status == 200
        assert client.number("heedful_requests_total", status="499") == 1
    # nobody waited for b, c and d any more
    assert paced.calls == [WARM, ["Go!"], ["g"]]


def test_who_may_ask(translator):
    with serving(translator, token="s3cret") as client:
        for headers in (
            {},
            {"Authorization": "Bearer other"},
            {"Authorization": "Basic s3cret"},
            {"Authorization": "ü"},
        ):
            client.headers = headers
            answer = client.translate("Go!")
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "send it in the header, Authorization: Bearer TOKEN" in answer.json["detail"]
            assert client.ask("/metrics").status == 401
        assert [client.ask(path).status for path in ("/", "/docs", "/openapi.json", "/health")] == [200] * 4
        client.headers = {"Authorization": "Bearer s3cret", "Host": "translate.example.org"}
        assert (client.translate("Go!").status, client.ask("/metrics").status) == (200, 200)


def test_without_a_token_only_the_names_of_this_machine_are_answered(client):
    for host, status in (("localhost:1", 200), ("[::1]", 200), ("127.0.0.1", 200), ("evil.example", 421)):
        assert client.ask("/health", headers={"Host": host}).status == status


@pytest.mark.parametrize(
    ("host", "token", "sentence"),
    [
        ("0.0.0.0", None, "0.0.0.0 lets other machines connect, so clients must know a token; set HEEDFUL_TOKEN"),
        ("::", None, ":: lets other machines connect, so clients must know a token"),
        ("127.0.0.1", "", "the token is empty, or holds other than printable ASCII"),
        ("127.0.0.1", "two words", "the token is empty, or holds other than printable ASCII"),
        ("no.such.host.invalid", None, "cannot listen on no.such.host.invalid, port 0"),
        ("no..host", None, "cannot listen on no..host, port 0"),
    ],
)
def test_it_listens_to_others_only_with_a_token(host, token, sentence):
    with pytest.raises(HeedfulError, match=sentence):
        listening_at(host, 0, token)


def test_it_listens_to_this_machine_without_a_token_and_to_all_with_one():
    with listening_at("localhost", 0, None), listening_at("0.0.0.0", 0, "s3cret") as open_to_all:
        port = open_to_all.getsockname()[1]
        with pytest.raises(HeedfulError, match=f"cannot listen on 127.0.0.1, port {port}: Address already in use"):
            listening_at("127.0.0.1", port, None)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"body": 0}, "the limit body is 0; use a number above 0"),
        ({"answer": float("nan")}, "the limit answer is nan; use a number above 0"),
        ({"window": 2.0}, "the window is 2.0 s; use 0"),
        ({"queue": 10}, "a request may have 256 sentences, but the queue holds 10"),
    ],
)
def test_limits_that_make_no_sense(options, sentence):
    with pytest.raises(HeedfulError, match=sentence):
        Limits(**options)


def test_bytes_that_are_no_http(client):
    assert everything(raw(client.port, b"\x16\x03\x01\x02\x00 binary\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert Client(client.port).translate("Go!").status == 200
