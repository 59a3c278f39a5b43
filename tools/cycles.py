#!/usr/bin/env python3
"""What LLVM's models of CPUs say a kernel's loops take, from its listing: for machines that aren't at hand, and free of noise.

    cargo bench --bench peers -- --listing --workload logistic --dtype f64 | tools/cycles.py znver3 znver5

Wants `llvm-mca` (Debian: llvm-19; LLVM_MCA names another). For each innermost loop: where it begins, its instructions, how far it moves the samples in bytes, and for each CPU the cycles of
a turn, with the least that its busiest unit takes in parentheses. The models know no cache misses and no lines that lie in two; a loop of whole samples can be told from one under masks by
how far it moves.
"""
import os
import re
import subprocess
import sys

MCA = os.environ.get("LLVM_MCA", "llvm-mca-19")


def decimal(text):
    """The assembler of LLVM takes no `0FFh`."""
    return re.sub(r"\b([0-9A-F]+)h\b", lambda m: str(int(m[1], 16)), text)


def functions(listing):
    """Each function's name and instructions, as addresses and texts."""
    name, lines = None, []
    for line in listing:
        if found := re.match(r"\s+([0-9a-f]+)  ([^;]*)", line):
            lines.append((int(found[1], 16), found[2].strip()))
        else:
            if lines:
                yield name, lines
            name, lines = line.strip(), []
    if lines:
        yield name, lines


def loops(lines):
    """The innermost loops' first and last addresses."""
    jumps = ((re.match(r"j\w+ ([0-9A-F]+)h", text), at) for at, text in lines)
    all_loops = [(int(to[1], 16), at) for to, at in jumps if to and int(to[1], 16) < at]
    return [a for a in all_loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in all_loops)]


def model(code, cpu):
    options = ["-mtriple=x86_64", f"-mcpu={cpu}", "-iterations=100", "--instruction-info=0", "--resource-pressure=0"]
    said = subprocess.run([MCA, *options], input=code, capture_output=True, text=True)
    figure = lambda what: re.search(what + r":\s+([\d.]+)", said.stdout)
    if said.returncode or not figure("Total Cycles"):
        sys.exit(said.stderr)
    return int(figure("Total Cycles")[1]) / 100, float(figure("Block RThroughput")[1])


def main():
    cpus = sys.argv[1:] or ["znver3"]
    for name, lines in functions(sys.stdin):
        for first, last in loops(lines):
            body = [text for at, text in lines if first <= at <= last and not text.startswith("nop")]
            moves = next((decimal(text.split(",")[1]) for text in reversed(body) if text.startswith("add r8,")), "-")
            code = "\n".join([".intel_syntax noprefix", "turn:", *(decimal(text) for text in body[:-1]), "jb turn", ""])
            figures = [f"{cpu} {cycles:.0f} ({least:.0f})" for cpu in cpus for cycles, least in [model(code, cpu)]]
            print(f"{name}: {first:x}, {len(body)} instructions, {moves} bytes: {', '.join(figures)}")


main()
