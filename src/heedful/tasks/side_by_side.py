"""Trainings side by side, each in a process of its own, whose news go to its log."""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from heedful._errors import HeedfulError
from heedful._memory import keep_freed_memory

from .corpora import Say

LOG = "training.log"
# seconds for a process to leave a checkpoint after a signal
PATIENCE = 30


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: of the training, in messages.
        folder: gets the log.
        work: what to do, given what takes a line of news; it must be a function that a process can be handed.
        threads: of the process.
    """

    name: str
    folder: Path
    work: Callable[[Say], None]
    threads: int = 1


def run_jobs(jobs: Sequence[Job], at_once: int, watch: Callable[[], None] = lambda: None) -> None:
    """Run all jobs, in their order, so many at once; a failure and Ctrl-C end those that run.

    Args:
        jobs: what to run.
        at_once: processes side by side.
        watch: called about twice a second.

    Raises:
        HeedfulError: a job failed; the message says why, and where its log is.
    """
    context = multiprocessing.get_context("spawn")
    waiting, running = list(jobs), list[tuple[Job, BaseProcess]]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running.append((job, context.Process(target=_run, args=(job,), daemon=True)))
                running[-1][1].start()
            watch()
            time.sleep(0.5)
            if failed := [(job, process) for job, process in running if process.exitcode not in (None, 0)]:
                break
            running = [(job, process) for job, process in running if process.is_alive()]
        else:
            return
    except KeyboardInterrupt:
        # the terminal has told the processes, too: each finishes its step and leaves a checkpoint
        for _, process in running:
            process.join(PATIENCE)
        raise
    for _, process in running:
        process.terminate()
        process.join(PATIENCE)
    job, process = failed[0]
    raise HeedfulError(_reason(job, process.exitcode or 0))


def _reason(job: Job, code: int) -> str:
    """Why a training ended, in one sentence: by a signal, such as that of a full memory, or as its log says."""
    log = job.folder / LOG
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    last = lines[-1].rstrip(".") if lines else "it left no message"
    why = f"ended by {signal.Signals(-code).name}" if code < 0 else last
    return f"The training of {job.name!r} failed: {why}. Its log is {log}."


def _run(job: Job) -> None:
    """One job in a process of its own; everything it says goes to its log."""
    log_path = job.folder / LOG
    with log_path.open("a", encoding="utf-8", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):

        def say(line: str) -> None:
            log.write(line + "\n")

        try:
            keep_freed_memory()
            torch.set_num_threads(job.threads)
            job.work(say)
        except KeyboardInterrupt as interrupt:
            say(str(interrupt) or "Stopped.")
            raise SystemExit(1) from None
        except Exception as error:  # any error that ends the process is written to its log alone
            traceback.print_exc()
            say(f"{type(error).__name__}: {error}")
            raise SystemExit(1) from None
