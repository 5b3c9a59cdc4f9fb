"""Keeps the medians of the last run of the criterion benchmarks as a table under benches/record/.

    cd benches/ours && cargo bench && cd ../.. && python3 benches/record.py [--criterion FOLDER] [--out FILE]

Reads FOLDER/**/new/benchmark.json and estimates.json (FOLDER: benches/ours/target/criterion) and writes
benches/record/DATE-CPU.md, the date being that of the newest result. Needs nothing but Python.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

from machine import cpu

HERE = pathlib.Path(__file__).resolve().parent


def rows(folder):
    """(name, median, low, high, elements a second or None) of every benchmark, by name."""
    for path in sorted(folder.glob("**/new/estimates.json")):
        benchmark = json.loads((path.parent / "benchmark.json").read_text())
        estimate = json.loads(path.read_text())["median"]
        interval = estimate["confidence_interval"]
        nanoseconds = estimate["point_estimate"]
        elements = (benchmark["throughput"] or {}).get("Elements")
        rate = elements / nanoseconds * 1e9 if elements else None
        yield benchmark["full_id"], nanoseconds, interval["lower_bound"], interval["upper_bound"], rate


def duration(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3f} {unit}"
    return f"{nanoseconds:.1f} ns"


def rate(elements_per_second):
    if elements_per_second is None:
        return ""
    for prefix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if elements_per_second >= size:
            return f"{elements_per_second / size:.2f} {prefix}"
    return f"{elements_per_second:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--criterion", type=pathlib.Path, default=HERE / "ours" / "target" / "criterion")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    table = list(rows(options.criterion))
    if not table:
        sys.exit(f"record.py: no results in {options.criterion}; run cargo bench in benches/ours first")
    newest = max(path.stat().st_mtime for path in options.criterion.glob("**/new/estimates.json"))
    date = datetime.date.fromtimestamp(newest).isoformat()
    slug = re.sub(r"[^a-z0-9]+", "-", cpu().lower()).strip("-")
    out = options.out or HERE / "record" / f"{date}-{slug}.md"
    rustc, commit = (subprocess.run(command, cwd=HERE, capture_output=True, text=True).stdout.strip()
                     for command in (["rustc", "--version"], ["git", "rev-parse", "--short", "HEAD"]))
    threads = os.environ.get("RAYON_NUM_THREADS", len(os.sched_getaffinity(0)))
    isa = os.environ.get("DIVA_ISA", "the best there is")
    lines = [f"# {date}", "",
             f"{cpu()}, {threads} threads, instruction set: {isa}; commit {commit}, {rustc}. `cargo bench` in benches/ours, "
             "recorded by `benches/record.py`.", "",
             "What an element is, the first lines of the benchmark's file say; of a matrix product it is a floating-point "
             "operation.", "",
             "| benchmark | median | 95 % interval | elements a second |", "|---|---|---|---|"]
    for name, median, low, high, speed in table:
        lines.append(f"| {name} | {duration(median)} | {duration(low)} to {duration(high)} | {rate(speed)} |")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
    print(f"{len(table)} medians in {out}")


if __name__ == "__main__":
    main()
