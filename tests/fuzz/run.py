"""Feed one door with mutations of what is right, guided by coverage, and record what came of it.

    python -m tests.fuzz.run recipes --runs 200000

Needs atheris, which is installed apart (`pip install atheris`). An input is given twenty seconds and two gigabytes; a
finding stops the run, and its input is left in the folder of `--findings`: put it into `tests/fuzz/findings` as
`<target>-<what>`, see `test_findings.py` fail, and mend what is at fault.
"""

import argparse
import csv
import re
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
    """Run one target, in a process of its own, and append its row to `results.csv`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=int, default=4096, help="bytes of the longest input")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz(options)
        return
    start = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.run", *sys.argv[1:], "--inside"], stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    log = []
    for line in child.stderr:
        sys.stderr.write(line)
        log.append(line)
    code = child.wait()
    row = summary("".join(log)) | {"date": date.today().isoformat(), "target": options.target}
    row |= {"seconds": round(time.monotonic() - start)}
    record(row)
    sys.exit(code)


def fuzz(options: argparse.Namespace) -> None:
    """Hand the target to libFuzzer; does not return."""
    import atheris  # pyright: ignore[reportMissingImports]: installed apart

    with atheris.instrument_imports(include=["heedful.tasks", "heedful.data", "yaml"]):
        from tests.fuzz import targets

    folder = targets.scratch()
    (folder / "corpus").mkdir()
    for place, seed in enumerate(targets.seeds(options.target)):
        (folder / "corpus" / f"seed-{place}").write_bytes(seed)
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
        str(folder / "corpus"),
    ]
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[options.target])
    atheris.Fuzz()


def summary(log: str) -> dict[str, object]:
    """What libFuzzer says at the end of a run."""
    import heedful

    def last(pattern: str) -> int:
        return int((re.findall(pattern, log) or ["0"])[-1])

    found = re.search(
        r"atheris-(\S+)\.dist-info", " ".join(str(path) for place in sys.path for path in Path(place).glob("atheris-*"))
    )
    return {
        "inputs": last(r"stat::number_of_executed_units:\s*(\d+)"),
        "edges": last(r"cov: (\d+)"),
        "features": last(r"ft: (\d+)"),
        # a run that was interrupted ends badly, but has found nothing
        "findings": len(re.findall(r"Test unit written to \S*-(?:crash|timeout|oom|leak)-", log)),
        "peak_mb": last(r"stat::peak_rss_mb:\s*(\d+)"),
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
