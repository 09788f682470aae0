"""Trainings that run in blocks of steps, in turn: each in a process of its own, which waits between two blocks."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


class Pace:
    """Inside a training: `tick` at the beginning of every step; it waits where a block ends.

    For every number of steps on standard input it answers on standard output with the real target tokens and the
    seconds that these steps took, and it ends the process with the input. All else that the process prints goes to
    standard error.

    Args:
        parameters: of the model, the first thing it tells.
    """

    def __init__(self, parameters: int) -> None:
        self.answers, sys.stdout = sys.stdout, sys.stderr
        self.left, self.tokens, self.begun = 0, 0, 0.0
        self._answer(parameters)

    def tick(self, tokens: int) -> None:
        """A step over so many real target tokens begins."""
        if self.left == 0:
            if self.tokens:
                self._answer(self.tokens, time.perf_counter() - self.begun)
            line = sys.stdin.readline()
            if not line:
                # nothing is to be saved or validated
                os._exit(0)
            self.left, self.tokens, self.begun = int(line), 0, time.perf_counter()
        self.left -= 1
        self.tokens += tokens

    def _answer(self, *numbers: float) -> None:
        print(*numbers, file=self.answers, flush=True)


def serve(parameters: int, decode: Callable[[list[list[int]], int], int], given: dict[str, Any]) -> None:
    """Inside a decoder: for every "first last beam" on standard input, tokens said and seconds on standard output.

    Args:
        parameters: of the model, the first thing it tells.
        decode: sentences of ids and the size of the beam, to how many tokens were said.
        given: whose `sources` hold the sentences.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    print(parameters, file=answers, flush=True)
    for line in sys.stdin:
        first, last, beam = map(int, line.split())
        begun = time.perf_counter()
        tokens = decode(given["sources"][first:last], beam)
        print(tokens, time.perf_counter() - begun, file=answers, flush=True)


class PacedTraining:
    """The other end of a `Pace`.

    Args:
        name: what to call it.
        command: script, by its name if it stands beside this file, and its arguments.
        log: file for what it says.
        threads: of its products.
        python: the interpreter, this one if left out.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, threads: int, python: str = sys.executable
    ) -> None:
        self.name, self.log = name, log
        script = Path(__file__).parent / command[0]
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [python, str(script), *command[1:]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
            )
        self.parameters = int(self._read()[0])

    def run(self, *order: int) -> tuple[int, float]:
        """Real target tokens and seconds of the next steps, or of what a decoder is told."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, order)) + "\n")
        self.process.stdin.flush()
        tokens, seconds = self._read()
        return int(tokens), seconds

    def close(self) -> None:
        """End the process."""
        self.process.communicate()

    def _read(self) -> list[float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise SystemExit(f"{self.name} ended:\n{self.log.read_text()[-2000:]}")
        return [float(word) for word in line.split()]
