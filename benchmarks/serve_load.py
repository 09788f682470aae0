"""What `heedful serve` makes of 32 clients at once, beside `heedful translate`: python benchmarks/serve_load.py MODEL.

Both translate the same 4,096 of the bundled English sentences, over and over, with equal options. `heedful translate`
is timed before and after the clients, once it is at full speed. The clients are threads of a process of their own, each
with one connection, and send the next request when the last is answered; they, the server's loop and its model have the
same cores. Where others have them, too, what a second of processor time gives (all threads of the server, none of the
clients; Linux) says more than the clock.
"""

import argparse
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from record import append

from heedful.data.bundled import load_pairs

HEEDFUL = [sys.executable, "-c", "from heedful.cli.main import main; main()"]
# shuffled, so that what each side comes to has the same lengths
SENTENCES = random.Random(1).sample(list(load_pairs("tatoeba_en_fr", "train").source), 4096)
# the command reads blocks of so many lines, and ends a group of sentences with each: then all of them are written
BLOCK = 1000


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def translate(model: str, changes: list[str], lines: int) -> tuple[float, float]:
    """Sentences of `heedful translate` in a second by the clock and by the processor, without its start."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lines.en"
        text = islice(cycle(SENTENCES), BLOCK + lines)
        path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
        command = subprocess.Popen(
            [*HEEDFUL, "translate", model, str(path), *changes], stdout=subprocess.PIPE, text=True
        )
        marks = []
        for number, _ in enumerate(command.stdout or (), start=1):
            if number in (BLOCK, BLOCK + lines):
                marks.append((time.monotonic(), cpu(command.pid)))
        if command.wait() or len(marks) < 2:
            raise SystemExit("heedful translate failed")
    (clock, processor), (clock_end, processor_end) = marks
    return lines / (clock_end - clock), lines / (processor_end - processor)


def client(port: int, lines: Iterator[list[str]], until: float, waits: list[float], errors: list[str]) -> None:
    """One client, until the time is over."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            body = json.dumps({"text": next(lines)})
            connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            content = reply.read()
            if reply.status != 200:
                errors.append(f"{reply.status} {content[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            errors.append(repr(error))
            connection.close()
        waits.append(time.monotonic() - began)


def clients(port: int, number: int, size: int, seconds: float) -> dict[str, float]:
    """What so many clients at once see in so many seconds."""
    lock, source = threading.Lock(), cycle(SENTENCES)

    def lines() -> Iterator[list[str]]:
        while True:
            with lock:
                some = list(islice(source, size))
            yield some

    waits: list[float] = []
    errors: list[str] = []
    began = time.monotonic()
    threads = [
        threading.Thread(target=client, args=(port, lines(), began + seconds, waits, errors)) for _ in range(number)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    for error in errors[:3]:
        print(error, file=sys.stderr)
    percentiles = statistics.quantiles(waits, n=100)
    return {
        "requests": len(waits),
        "errors": len(errors),
        "per_second": size * (len(waits) - len(errors)) / took,
        "p50_ms": 1000 * percentiles[49],
        "p99_ms": 1000 * percentiles[98],
    }


def serve(model: str, changes: list[str], number: int, size: int, seconds: float) -> dict[str, float]:
    """The same of a server that is started for it."""
    server = subprocess.Popen([*HEEDFUL, "serve", model, "--port", "0", *changes], stderr=subprocess.PIPE, text=True)
    try:
        said = re.search(r":(\d+);", server.stderr.readline() if server.stderr else "")
        if not said:
            raise SystemExit("heedful serve failed")
        port = int(said[1])
        # the first batches grow to their size
        clients(port, number, size, min(2.0, seconds))
        names = ("batch_sentences_sum", "batch_sentences_count", "decoding_seconds_total")
        before, processor = numbers(port, *names), cpu(server.pid)
        found = clients(port, number, size, seconds)
        sentences, batches, busy = (now - then for now, then in zip(numbers(port, *names), before, strict=True))
        processor = cpu(server.pid) - processor
    finally:
        server.terminate()
    if server.wait():
        raise SystemExit(f"heedful serve ended with {server.returncode}")
    return found | {"mean_batch": sentences / batches, "busy": busy / seconds, "per_cpu": sentences / processor}


def numbers(port: int, *names: str) -> list[float]:
    """Some of the server's own numbers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return [float(re.findall(rf"^heedful_{name} (.*)$", text, re.MULTILINE)[0]) for name in names]


def main(options: argparse.Namespace) -> None:
    """Both sides, in turn."""
    changes = ["--set", f"decoding.beam={options.beam}"]
    speeds = [translate(options.model, changes, options.lines)]
    found = serve(options.model, changes, options.clients, options.size, options.seconds)
    speeds.append(translate(options.model, changes, options.lines))
    by_clock, by_processor = (statistics.mean(side) for side in zip(*speeds, strict=True))
    append(
        "serve_load",
        clients=options.clients,
        seconds=f"{options.seconds:g}",
        sentences_per_request=options.size,
        beam=options.beam,
        requests=found["requests"],
        errors=found["errors"],
        sentences_per_second=f"{found['per_second']:.1f}",
        p50_ms=f"{found['p50_ms']:.0f}",
        p99_ms=f"{found['p99_ms']:.0f}",
        mean_batch=f"{found['mean_batch']:.1f}",
        model_busy=f"{found['busy']:.2f}",
        translate_before=f"{speeds[0][0]:.1f}",
        translate_after=f"{speeds[1][0]:.1f}",
        ratio=f"{found['per_second'] / by_clock:.2f}",
        per_cpu_second=f"{found['per_cpu']:.1f}",
        translate_per_cpu_second=f"{by_processor:.1f}",
        cpu_ratio=f"{found['per_cpu'] / by_processor:.2f}",
        load=f"{os.getloadavg()[1]:.1f}",
    )
    if found["errors"]:
        raise SystemExit(f"{found['errors']} requests failed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--size", type=int, default=1, help="sentences of a request")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument(
        "--lines", type=int, default=2 * BLOCK, help=f"that heedful translate is timed over, {BLOCK} or more times that"
    )
    main(parser.parse_args())
