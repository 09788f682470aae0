"""Feed one entry point with mutations of valid input, guided by coverage, and record the outcome.

    python -m tests.fuzz.run recipes --runs 200000

Needs atheris, which is installed apart (`pip install atheris`). On a machine that others use,
`--pieces 50 --before "nice -n 19"` makes it fifty short runs, one after another, that share what they found to cover
new code. An input is given twenty seconds and two gigabytes; a finding stops the run, and its input is left in the
folder of `--findings`: put it into `tests/fuzz/findings` as `<target>-<what>`, see `test_findings.py` fail, and fix
what is at fault.
"""

import argparse
import csv
import re
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / "results.csv"
SECONDS_PER_INPUT, MEGABYTES = 20, 2048
FIELDS = ("date", "target", "inputs", "seconds", "edges", "features", "peak_mb", "findings", "heedful", "atheris")


def main() -> None:
    """Run one target, in processes of its own, and append its row to `results.csv`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=int, default=4096, help="bytes of the longest input")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--pieces", type=int, default=1, help="processes, one after another, that share the work")
    parser.add_argument("--before", default="", help="a command that is to start each of them")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz(options)
        return
    start, logs, code = time.monotonic(), [], 0
    with tempfile.TemporaryDirectory() as corpus:
        for piece in range(options.pieces):
            code, log = run_piece(options, piece, corpus)
            logs.append(log)
            if code:
                break
    row = {"date": date.today().isoformat(), "target": options.target, "seconds": round(time.monotonic() - start)}
    record(row | summary(logs))
    sys.exit(code)


def run_piece(options: argparse.Namespace, piece: int, corpus: str) -> tuple[int, str]:
    """One process: its exit code, and what libFuzzer said."""
    runs = options.runs // options.pieces + (piece < options.runs % options.pieces)
    command = [*shlex.split(options.before), sys.executable, "-m", "tests.fuzz.run", options.target]
    command += ["--runs", str(runs), "--seed", str(options.seed + piece), "--longest", str(options.longest)]
    command += ["--findings", str(options.findings), "--inside", corpus]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    log = []
    for line in child.stderr:
        sys.stderr.write(line)
        log.append(line)
    return child.wait(), "".join(log)


def fuzz(options: argparse.Namespace) -> None:
    """Hand the target to libFuzzer; does not return."""
    import atheris  # pyright: ignore[reportMissingImports]: installed apart

    with atheris.instrument_imports(include=["heedful.tasks", "heedful.data", "yaml"]):
        from tests.fuzz import targets

    folder = targets.scratch()
    for place, seed in enumerate(targets.seeds(options.target)):
        (options.inside / f"seed-{place}").write_bytes(seed)
    lines = "".join(f'"{re.escape(word)}"\n' for word in targets.words(options.target) if word.isidentifier())
    (folder / "words").write_text(lines)
    arguments = [
        f"-runs={options.runs}",
        f"-seed={options.seed}",
        f"-max_len={options.longest}",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-dict={folder / 'words'}",
        f"-artifact_prefix={options.findings}/{options.target}-",
        "-print_final_stats=1",
        str(options.inside),
    ]
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[options.target])
    atheris.Fuzz()


def summary(logs: list[str]) -> dict[str, object]:
    """What libFuzzer says at the end of each piece: inputs and findings of all, the most of the others."""
    import heedful

    def last(pattern: str) -> list[int]:
        return [int((re.findall(pattern, log) or ["0"])[-1]) for log in logs]

    found = re.search(
        r"atheris-(\S+)\.dist-info", " ".join(str(path) for place in sys.path for path in Path(place).glob("atheris-*"))
    )
    return {
        "inputs": sum(last(r"stat::number_of_executed_units:\s*(\d+)")),
        "edges": max(last(r"cov: (\d+)")),
        "features": max(last(r"ft: (\d+)")),
        # a run that was interrupted ends badly, but has found nothing
        "findings": len(re.findall(r"Test unit written to \S*-(?:crash|timeout|oom|leak)-", "".join(logs))),
        "peak_mb": max(last(r"stat::peak_rss_mb:\s*(\d+)")),
        "heedful": heedful.__version__,
        "atheris": found[1] if found else "",
    }


def record(row: dict[str, object]) -> None:
    """One more line of `results.csv`."""
    new = not RESULTS.exists()
    with RESULTS.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
