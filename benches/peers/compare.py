"""diva beside PyTorch, candle and burn on this machine: runs everything and writes the table of docs/performance.md.

    python3 benches/peers/compare.py [--rounds 5] [--steps 5] [--threads 2] [--batch 100] [--venv FOLDER]
                                     [--only step,unlabelled,one-thread,avx2,decoder,infer,cells,cells-unlabelled,cells-infer,batches]
                                     [--document FILE]

Needs Linux, Rust, Python 3.11 or newer and, for the compiled PyTorch, a C++ compiler; fetches the rest: PyTorch into
a virtual environment (benches/peers/.venv, unless --venv names one that is there), candle and burn through cargo.

Machines drift, so in every comparison the programs take turns, each time as a process of its own: A B C, A B C, ...
A row gives the medians over the rounds, and the median, the lowest and the highest of the ratios within a round. A
program that fails is named in the table with the reason.
"""
import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tomllib
from statistics import median

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from machine import cpu, cpu_fields  # noqa: E402

BEGIN, END = "<!-- comparison:begin -->", "<!-- comparison:end -->"
SECTION = "## Beside PyTorch, candle and burn"
# Longer than any run of a slow program on a slow machine; a program that hangs is a failure like another.
PATIENCE_SECONDS = 3600


@dataclasses.dataclass
class Contestant:
    """A program that prints one JSON object, and what it said in each round."""
    name: str
    command: list | None
    environment: dict = dataclasses.field(default_factory=dict)
    results: list = dataclasses.field(default_factory=list)
    failure: str | None = None

    def run(self, threads):
        """Runs it once more, unless it has failed before."""
        if self.failure:
            return
        variables = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | dict.fromkeys(variables, str(threads)) | self.environment
        try:
            done = subprocess.run(self.command, env=environment, cwd=ROOT, capture_output=True, text=True,
                                  timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.failure = f"not done after {PATIENCE_SECONDS} s"
            return
        if done.returncode != 0:
            self.failure = f"exit code {done.returncode}: {reason(done.stderr)}"
            return
        try:
            self.results.append(json.loads(last_line(done.stdout)))
        except ValueError:
            self.failure = f"no JSON object in: {last_line(done.stdout)}"

    def values(self, key):
        return [result[key] for result in self.results]


@dataclasses.dataclass
class Comparison:
    """Contestants on the same work, the first of them ours; or ours alone in several sizes."""
    name: str
    title: str
    threads: int
    contestants: list
    measure: str = "median_s"
    alone: bool = False

    def run(self, rounds):
        for number in range(1, rounds + 1):
            for contestant in self.contestants:
                contestant.run(self.threads)
                said = contestant.failure or f"{contestant.results[-1][self.measure]:.4g}"
                print(f"{self.name}, round {number}: {contestant.name}: {said}", flush=True)
        if not self.alone:
            self.check_sizes()

    def check_sizes(self):
        """A model with another number of numbers is another model."""
        expected = self.contestants[0].results and self.contestants[0].results[0].get("numbers")
        for contestant in self.contestants[1:]:
            found = contestant.results and contestant.results[0].get("numbers")
            if expected and found and expected != found:
                contestant.failure = f"another model: {found} numbers, not {expected}"


def reason(stderr):
    """The line that says why: of an exception, of a panic, else the last."""
    lines = stderr.splitlines()
    for before, line in reversed(list(zip([""] + lines, lines))):
        if re.match(r"[\w.]*(Error|Exception)\b", line) or "panicked at" in before:
            return line.strip()
    return last_line(stderr)


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


# ---- preparation ---------------------------------------------------------------------------------------------------
def environment_of_python(folder):
    """The interpreter of the virtual environment, which is made and filled where that is still to be done."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if subprocess.run([python, "-c", "import torch, numpy, safetensors"], capture_output=True).returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    return python


def build(package, *, flags=None, pinned=False):
    """Builds a package; its programs by name, or why there are none."""
    command = ["cargo", "build", "--release", "--bins", "--message-format", "json-render-diagnostics"]
    command += ["--locked"] if pinned else []
    environment = os.environ | ({"RUSTFLAGS": flags} if flags else {})
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        first = next((line for line in done.stderr.splitlines() if line.startswith("error")), last_line(done.stderr))
        return {}, f"not built: {first}"
    messages = map(json.loads, done.stdout.splitlines())
    return {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}, None


def comparisons(options):
    """All of them that --only names, ready to run."""
    python = environment_of_python(options.venv)
    ours, failure = build(ROOT)
    benches, failure_of_benches = build(ROOT / "benches" / "ours")
    if failure or failure_of_benches:
        sys.exit(f"compare.py: {failure or failure_of_benches}")
    threads, batch, steps = options.threads, options.batch, options.steps

    def diva(command, *flags, name="diva", threads=threads, batch=batch, **environment):
        sizes = ["--threads", str(threads), "--batch", str(batch), "--steps", str(steps)]
        return Contestant(name, [ours["diva"], "bench", command, "--json", *sizes, *flags], environment)

    def torch(name, command, *flags, threads=threads, **environment):
        sizes = ["--threads", str(threads), "--batch", str(batch), "--steps", str(steps)]
        return Contestant(f"PyTorch, {name}", [python, HERE / "torch_step.py", command, *sizes, *flags], environment)

    def decoders():
        # Built for this very CPU, as candle advises; diva's program chooses its instructions when it runs.
        candle, no_candle = build(HERE / "candle", flags="-C target-cpu=native", pinned=True)
        burn, no_burn = build(HERE / "burn", flags="-C target-cpu=native", pinned=True)
        sizes = [str(batch), str(steps)]
        return [
            Contestant("diva", [benches["decoder_step"], *sizes]),
            torch("eager", "decoder"),
            torch("compiled", "decoder", "--compile"),
            Contestant("candle", [candle.get("candle-peer"), *sizes], failure=no_candle),
            Contestant("burn (flex)", [burn.get("burn-peer"), *sizes], failure=no_burn),
        ]

    of_cells = ["--model", "malaria"]
    held = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    table = {
        "step": lambda: Comparison("step", "training step", threads, [
            diva("step"), torch("eager", "step"), torch("eager, channels last", "step", "--channels-last"),
            torch("compiled", "step", "--compile")]),
        "unlabelled": lambda: Comparison("unlabelled", "training step, images without a class", threads, [
            diva("step", "--unlabelled"), torch("eager", "step", "--unlabelled")]),
        "one-thread": lambda: Comparison("one-thread", "training step, one thread", 1, [
            diva("step", threads=1), torch("eager", "step", threads=1)]),
        "avx2": lambda: Comparison("avx2", "training step, both held to AVX2", threads, [
            diva("step", DIVA_ISA="avx2"), torch("eager", "step", **held)]),
        "decoder": lambda: Comparison("decoder", "decoder, cross-entropy, Adam", threads, decoders()),
        "infer": lambda: Comparison("infer", "class prediction", threads, [
            diva("infer"), torch("eager", "infer")], "images_per_s"),
        "cells": lambda: Comparison("cells", "cells: training step", threads, [
            diva("step", *of_cells), torch("eager", "step", "--cells"),
            torch("eager, channels last", "step", "--cells", "--channels-last")]),
        "cells-unlabelled": lambda: Comparison("cells-unlabelled", "cells: training step, images without a class", threads, [
            diva("step", "--unlabelled", *of_cells), torch("eager", "step", "--cells", "--unlabelled")]),
        "cells-infer": lambda: Comparison("cells-infer", "cells: class prediction", threads, [
            diva("infer", *of_cells), torch("eager", "infer", "--cells")], "images_per_s"),
        "batches": lambda: Comparison("batches", "training step", threads, [
            diva("step", name=f"batch {size}", batch=size) for size in (25, 50, 100, 200, 400)], alone=True),
    }
    chosen = options.only.split(",") if options.only else list(table)
    unknown = [name for name in chosen if name not in table]
    if unknown:
        sys.exit(f"compare.py: --only knows {', '.join(table)}, not {', '.join(unknown)}")
    return [table[name]() for name in chosen], python


# ---- the report ----------------------------------------------------------------------------------------------------
def rows_of(comparison):
    """A row of the table for every peer; what `ratio` means is how many times diva does better."""
    ours, *peers = comparison.contestants
    for peer in peers:
        failed = next((f"{who.name} failed: {who.failure}" for who in (ours, peer) if who.failure), None)
        if failed:
            yield f"| {comparison.title} | {peer.name} | {in_a_cell(failed)} | | | | | |"
            continue
        mine, theirs = ours.values(comparison.measure), peer.values(comparison.measure)
        pairs = zip(mine, theirs)
        faster = [a / b if comparison.measure == "images_per_s" else b / a for a, b in pairs]
        unit = "images/s" if comparison.measure == "images_per_s" else "s"
        memory = [median(who.values("peak_rss_mib")) for who in (ours, peer)]
        yield (f"| {comparison.title} | {peer.name} | {number(median(mine))} {unit} | {number(median(theirs))} {unit} "
               f"| **{median(faster):.2f}** ({min(faster):.2f} to {max(faster):.2f}) "
               f"| {memory[0]:.0f} | {memory[1]:.0f} | {memory[1] / memory[0]:.2f} |")


def row_alone(ours):
    if ours.failure:
        return f"| {ours.name} | failed: {in_a_cell(ours.failure)} | | |"
    seconds, memory = median(ours.values("median_s")), median(ours.values("peak_rss_mib"))
    return f"| {ours.name} | {seconds:.3f} | {ours.results[0]['batch'] / seconds:.0f} | {memory:.0f} |"


def in_a_cell(text):
    return text.replace("|", "/")[:300]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"


def report(all_comparisons, options, machine):
    lines = [f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores ({machine['isa']}), "
             f"{machine['memory_gib']:.0f} GiB, Linux. "
             f"Rounds: {options.rounds}, of {options.steps} counted steps each; batch {options.batch}, "
             f"{options.threads} threads unless a row says otherwise. Made by", "",
             f"    {machine['command']}", "",
             "Medians of the rounds' medians. *Ratio*: the median over the rounds (lowest to highest) of how many times "
             "faster diva was within a round. Peak memory is the resident high-water mark of the process, in MiB.", ""]
    rows = [row for comparison in all_comparisons if not comparison.alone for row in rows_of(comparison)]
    if rows:
        lines += ["| work | beside | diva | peer | ratio | diva, MiB | peer, MiB | memory ratio |",
                  "|---|---|---|---|---|---|---|---|", *rows, ""]
    for comparison in all_comparisons:
        if comparison.alone:
            lines += [f"| diva, {comparison.title} | s | images/s | MiB |", "|---|---|---|---|"]
            lines += [row_alone(ours) for ours in comparison.contestants] + [""]
    lines.append("Versions: " + ", ".join(f"{name} {version}" for name, version in machine["versions"].items()) + ".")
    if any(comparison.name == "decoder" for comparison in all_comparisons):
        lines[-1] += (" candle and burn were built with `-C target-cpu=native` and their AVX-512 products. burn's other "
                      "back ends for CPUs are left out: `ndarray` is deprecated and took more than a hundred times as "
                      "long, `cpu` compiles through LLVM, which its build downloads.")
    return "\n".join(lines)


def machine_facts(python):
    field = cpu_fields()
    flags = field.get("flags", field.get("Features", "")).split()
    names = {"avx2": "AVX2", "fma": "FMA", "avx512f": "AVX-512", "asimd": "NEON"}
    installed = [python, "-c", "import torch; print(torch.__version__)"]
    locks = {name: tomllib.loads((HERE / name / "Cargo.lock").read_text())["package"] for name in ("candle", "burn")}
    locked = {name: next(p["version"] for p in packages if p["name"] in (name, f"{name}-core"))
              for name, packages in locks.items()}
    commit = output(["git", "rev-parse", "--short", "HEAD"])
    changed = " with changes" if output(["git", "status", "--porcelain", "--untracked-files=no"]) else ""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "isa": ", ".join(name for flag, name in names.items() if flag in flags),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "command": "python3 benches/peers/compare.py " + " ".join(without_paths(sys.argv[1:])),
        "versions": {
            "diva": tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"] + (f" ({commit}{changed})" if commit else ""),
            "PyTorch": output(installed), **locked, "rustc": output(["rustc", "--version"]).split()[1],
            "Python": platform.python_version(),
        },
    }


def without_paths(arguments):
    """Where an environment or a document lies on this machine is of no use on another."""
    paths, kept = ("--venv", "--document"), []
    for before, argument in zip([""] + arguments, arguments):
        if before not in paths and not argument.startswith(paths):
            kept.append(argument)
    return kept


def output(command):
    """What it prints; nothing if it fails, as git does outside of a repository."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def write(document, text):
    """Puts the text between the markers, or behind everything else where there are none."""
    old = document.read_text() if document.exists() else ""
    block = f"{BEGIN}\n{text}\n{END}"
    if BEGIN in old and END in old:
        before, rest = old.split(BEGIN, 1)
        new = before + block + rest.split(END, 1)[1]
    else:
        new = f"{old.rstrip()}\n\n{SECTION}\n\n{block}\n".lstrip()
    document.write_text(new)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="counted steps of a program in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--only", help="some of the comparisons, with commas between")
    parser.add_argument("--venv", type=pathlib.Path, default=HERE / ".venv", help="a virtual environment to be used")
    parser.add_argument("--document", type=pathlib.Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args()
    if min(options.rounds, options.steps, options.threads) < 1 or options.batch < 2:
        sys.exit("compare.py: --rounds, --steps and --threads are at least 1, --batch is at least 2")
    prepared, python = comparisons(options)
    machine = machine_facts(python)
    for done, comparison in enumerate(prepared, 1):
        comparison.run(options.rounds)
        # After each, so that an interruption costs no more than one.
        text = report(prepared[:done], options, machine)
        write(options.document, text)
    print(f"\n{text}\n\nwritten to {options.document}")


if __name__ == "__main__":
    main()
