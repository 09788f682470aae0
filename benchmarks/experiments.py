"""What did the experiments of examples/ find? Finished runs become rows, and rows the tables of the README.

python benchmarks/experiments.py RUNS    adds every finished run below a folder that has no row yet
python benchmarks/experiments.py --table prints the film reviews by model and protocol, over all seeds
"""

import argparse
import csv
import json
from pathlib import Path
from statistics import mean, stdev

from record import RESULTS, append

NAME = "experiments"
# columns of validations.csv that are no metric
PLACE = {"step", "epoch", "seconds", "weights", "best", "perplexity"}


def rows() -> list[dict[str, str]]:
    """What is recorded."""
    path = RESULTS / f"{NAME}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def read_run(folder: Path) -> dict[str, object]:
    """The figures of one run, and what each validation gave."""
    validations = folder / "validations.csv"
    # Keras keeps the epochs of training and validation in one table
    kept, prefix = (validations, "") if validations.exists() else (folder / "epochs.csv", "val_")
    with kept.open(newline="") as file:
        epochs = list(csv.DictReader(file))
    metrics = [name for name in epochs[0] if name not in PLACE and name.startswith(prefix)]
    by_epoch = {f"{name.removeprefix(prefix)} by epoch": " ".join(epoch[name] for epoch in epochs) for name in metrics}
    return {"run": folder.name} | json.loads((folder / "result.json").read_text()) | by_epoch


def table(found: list[dict[str, str]]) -> str:
    """Test accuracy in percent; "published" reads ten test accuracies of a run, "honest" the one of the epoch that the
    held-out reviews chose.
    """
    lines = [
        "| model | protocol | seeds | maximum | mean of the runs' best | std | mean of all epochs | chosen epoch |"
    ]
    lines += ["|---|---|---:|---:|---:|---:|---:|---:|"]
    for model in ("attention", "none"):
        for protocol in ("published", "honest"):
            own = [row for row in found if row.get("model") == model and row.get("protocol") == protocol]
            if own:
                lines.append(f"| {model} | {protocol} | {len(own)} | {' | '.join(summary(own, protocol))} |")
    return "\n".join(lines)


def summary(own: list[dict[str, str]], protocol: str) -> list[str]:
    """Maximum, mean, deviation, mean over epochs, and mean and deviation of the chosen epoch."""
    chosen = [100 * float(row["test_accuracy"]) for row in own]
    if protocol == "honest":
        return ["", "", "", "", f"{mean(chosen):.2f}{f' ± {stdev(chosen):.2f}' if len(chosen) > 1 else ''}"]
    epochs = [[100 * float(number) for number in row["accuracy by epoch"].split()] for row in own]
    best = [max(numbers) for numbers in epochs]
    spread = f"{stdev(best):.2f}" if len(best) > 1 else ""
    return [f"{max(best):.2f}", f"{mean(best):.2f}", spread, f"{mean(map(mean, epochs)):.2f}", ""]


def main() -> None:
    """Rows, or the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="?", help="folder of run folders")
    parser.add_argument("--table", action="store_true")
    wish = parser.parse_args()
    if wish.table:
        print(table(rows()))
        return
    if wish.runs is None:
        parser.error("name the folder of runs, or ask for the --table")
    known = {row["run"] for row in rows()}
    for result in sorted(wish.runs.glob("*/result.json")):
        if result.parent.name not in known:
            append(NAME, **read_run(result.parent))


if __name__ == "__main__":
    main()
