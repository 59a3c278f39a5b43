#!/usr/bin/env python3
"""Measures the suite beside its peers on one machine in one run, and writes the tables of docs/performance.md.

    tools/performance.py PEERS [--python PY] [--torch-python PY] [--data DIR] [--out DIR] [--tools a,b] [--workloads a,b] [--dtypes f64,f32] [--threads 1,2]
                         [--rounds 5] [--slow-rounds 1] [--seconds 0.6] [--no-scaling] [--no-mixtures] [--prefix P] [--write]

PEERS is the folder of peers.py, machine.py and chand.c. PY needs numpy and jax; the Python for torch may be another. Every workload is measured in rounds: ours, then each tool,
one after the other, so that a ratio is of two times measured within seconds; tables give medians of ratios. The slow tools (all but ours and the C) take part in the first
`--slow-rounds` rounds. All lines are kept in OUT/results.jsonl (a run that was interrupted goes on where it stopped if it is given the same OUT;
`--rounds 0` makes tables of what is there).
`--write` puts the tables between the marks of docs/performance.md, those whose names begin with the prefix: one machine's beside another's, which may have fewer.
"""
import argparse, datetime, json, os, platform, re, statistics, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARENA = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "20000000000", "MALLOC_TOP_PAD_": "1000000000"}
SUITE = "gauss_loc gauss_loc_scale linreg1 logistic softmax_ce mvn_chol mlp sgd_10k adam_5100".split()
FAST = ["tapeless", "c-hand"]
# Ours over the C, at most: what is aimed at.
TARGETS = {"gauss_loc 10000000": 1.1, "gauss_loc_scale 10000000": 1.1, "linreg1 10000000": 1.1, "logistic 200000x100": 0.75, "logistic 1000000x10": 0.35,
           "softmax_ce 200000x32": 0.5, "mvn_chol 1000000x8": 0.45, "sgd_10k 10000": 1.0, "adam_5100 10000": 1.0}
# Time over time of the slower-is-larger kind: compute-bound rows may take 2.5 times the value alone, memory-bound ones 1.3.
COMPUTE = {"softmax_ce", "mvn_chol", "mlp", "mixture"}


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("peers")
    a.add_argument("--python", default=sys.executable)
    a.add_argument("--torch-python")
    a.add_argument("--data", default="/tmp/peersdata")
    a.add_argument("--out", default=os.path.join(ROOT, "target", "performance"))
    a.add_argument("--tools", default="c-hand,jax,torch-compile-func,torch+arena")
    a.add_argument("--workloads", default=",".join(SUITE))
    a.add_argument("--dtypes", default="f64,f32")
    a.add_argument("--threads", default="1,2")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--slow-rounds", type=int, default=1)
    a.add_argument("--seconds", type=float, default=0.6)
    a.add_argument("--no-scaling", action="store_true")
    a.add_argument("--no-mixtures", action="store_true")
    a.add_argument("--prefix", default="")
    a.add_argument("--write", action="store_true")
    return a.parse_args()


def run(command, env=None, cpus=None, check=True):
    """The output of a command, on the first `cpus` CPUs."""
    pin = (lambda: os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cpus]))) if cpus else None
    done = subprocess.run(command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=pin)
    if done.returncode and check:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return done.stdout


def bench(name):
    """Builds a bench and gives its program."""
    out = run(["cargo", "bench", "--bench", name, "--no-run", "--message-format=json", "--manifest-path", os.path.join(ROOT, "Cargo.toml")])
    found = [m["executable"] for m in map(json.loads, out.splitlines()) if m.get("reason") == "compiler-artifact" and m["target"]["name"] == name and m.get("executable")]
    return found[-1]


def version(python, module):
    out = run([python, "-c", f"import importlib.metadata as m; print(m.version('{module}'))"], check=False).strip()
    return f"{module} {out}" if out else None


def machine(a):
    """Where and with what this was measured."""
    cpu = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    cpuinfo = open("/proc/cpuinfo").read()
    family = re.search(r"cpu family\s*: (\d+)", cpuinfo)
    caches = run(["lscpu"], check=False)
    caches = ", ".join(re.sub(r"\s+", " ", l) for l in caches.splitlines() if re.match(r"L[123]", l.strip()))
    torch = a.torch_python or a.python
    versions = [version(a.python, "jax"), version(a.python, "numpy"), version(torch, "torch"), run(["gcc", "--version"], check=False).splitlines()[:1], run(["rustc", "--version"]).strip()]
    flat = [v if isinstance(v, str) else v[0] for v in versions if v]
    commit = run(["git", "-C", ROOT, "describe", "--always", "--dirty"], check=False).strip()
    return {
        "date": datetime.date.today().isoformat(), "cpu": f"{cpu}{f' (family {family[1]})' if family else ''}, {os.cpu_count()} virtual cores, {caches}",
        "system": f"{platform.system()} {platform.release()}", "versions": ", ".join(flat), "commit": commit, "load": open("/proc/loadavg").read().split()[0],
        "command": "tools/performance.py " + " ".join({a.peers: "PEERS", a.python: "PY", a.torch_python: "PY", a.data: "DIR", a.out: "OUT"}.get(w, w) for w in sys.argv[1:]),
    }


def size(line):
    return str(line["n"]) if isinstance(line["n"], int) else "x".join(map(str, line["n"]))


def measure(a, ours, lines, save):
    tools = ["tapeless"] + [t for t in a.tools.split(",") if t]
    done = {(l["round"], l["tool"], l["workload"], l["dtype"], l["threads"]) for l in lines}
    limits = dict(os.environ, MACHINE_JSON=os.path.join(a.out, "machine.json"))
    for work in a.workloads.split(","):
        for dtype in a.dtypes.split(","):
            for threads in map(int, a.threads.split(",")):
                for r in range(a.rounds):
                    for tool in tools + (["roofline"] if r == 0 else []):
                        if tool not in FAST and tool != "roofline" and r >= a.slow_rounds or (r, tool, work, dtype, threads) in done:
                            continue
                        common = ["--workload", work, "--dtype", dtype, "--threads", str(threads), "--min-seconds", str(a.seconds)]
                        if tool == "tapeless":
                            out = run([ours, "--data", a.data, *common], cpus=threads)
                        else:
                            python = (a.torch_python or a.python) if tool.startswith("torch") else a.python
                            named = ["--tool", "torch", "--tag", "+arena"] if tool == "torch+arena" else ["--tool", tool]
                            # Eager and compiled torch have no loops of their own: a loop in Python calls them.
                            loop = [w + "_pyloop" if w.startswith(("sgd", "adam")) and tool.startswith("torch") else w for w in [work]]
                            common[1] = loop[0]
                            out = run([python, os.path.join(a.peers, "peers.py"), *named, *common], env={**(ARENA if tool == "torch+arena" else {}), "MACHINE_JSON": limits["MACHINE_JSON"]}, check=False)
                        for l in out.splitlines():
                            if l.startswith("{"):
                                line = json.loads(l)
                                line.update(round=r, tool=tool, workload=work)
                                save(line)
                        print(f"{work} {dtype} {threads} round {r}: {tool}", file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values) if values else None


def fmt(ms):
    if ms is None:
        return ""
    if ms < 1e-3:
        return f"{ms * 1e6:.0f} ns"
    return f"{ms * 1e3:.3g} us" if ms < 0.1 else f"{ms:.3g}"


def times(x):
    return "" if x is None else f"{x:.2f}" if x < 10 else f"{x:.0f}"


def tables(a, lines, mixtures, scaling, about):
    tools = [t for t in a.tools.split(",") if t]
    rows = []
    for l in lines:
        key = (l["workload"], size(l))
        if key not in rows:
            rows.append(key)
    rows.sort(key=lambda k: (SUITE.index(k[0]) if k[0] in SUITE else 99))
    pick = lambda tool, key, dtype, threads: [l for l in lines if l["tool"] == tool and (l["workload"], size(l)) == key and l["dtype"] == dtype and l["threads"] == threads and "error" not in l]
    # Lines of the same round belong together.
    def ratio(tool, key, dtype, threads):
        own = {l["round"]: l["ms_median"] for l in pick("tapeless", key, dtype, threads)}
        return median([own[l["round"]] / l["ms_median"] for l in pick(tool, key, dtype, threads) if l["round"] in own])
    out = {}
    text = [f"Measured {about['date']} on {about['cpu']}; {about['system']}; {about['versions']}; commit {about['commit']}; load {about['load']} when it began.", "", f"    {about['command']}", ""]
    for dtype in a.dtypes.split(","):
        for threads in map(int, a.threads.split(",")):
            text += [f"### {dtype}, {threads} thread{'s' if threads > 1 else ''}", "", "Medians in ms; then the times of the others over ours (larger is better for us). `bound` is the read bound in L3 and in main memory.", ""]
            text.append("| workload | bound | ours | ours / bound | ours / C | target | " + " | ".join(f"{t} / ours" for t in tools) + " |")
            text.append("|" + "---|" * (6 + len(tools)))
            for key in rows:
                own = median([l["ms_median"] for l in pick("tapeless", key, dtype, threads)])
                if own is None:
                    continue
                bound = pick("roofline", key, dtype, threads)
                # A call of a dozen samples reads nothing worth the name.
                limits = (bound[0]["ms_min"], bound[0]["ms_dram"]) if bound and bound[0]["ms_min"] > 1e-4 else None
                target = TARGETS.get(f"{key[0]} {key[1]}")
                of_c = ratio("c-hand", key, dtype, threads)
                cells = [f"{key[0]} {key[1]}", f"{fmt(limits[0])} / {fmt(limits[1])}" if limits else "", fmt(own),
                         f"{own / limits[0]:.2f} / {own / limits[1]:.2f}" if limits else "", times(of_c), "" if target is None else f"{target}" + ("" if of_c is None else " met" if of_c <= target else " **missed**")]
                for t in tools:
                    x = ratio(t, key, dtype, threads)
                    cells.append(times(1 / x) if x else "")
                text.append("| " + " | ".join(cells) + " |")
            text.append("")
    out["peers"] = text

    # The C was compiled before, and eager torch doesn't.
    compiling = [t for t in tools if t not in ("c-hand", "torch+arena")]
    text = ["The first compilation of a process (which parses the simplifier's rules, where the workload is the first) and, for ours, the median of compiling again; ms.", "",
            "| workload | ours, f64 | ours, f32 | " + " | ".join(t for t in compiling) + " |", "|" + "---|" * (3 + len(compiling))]
    least = lambda tool, key, dtype, which="compile_ms": min((l[which] for l in lines if l["tool"] == tool and (l["workload"], size(l)) == key and l["dtype"] == dtype and l.get(which) is not None), default=None)
    both = lambda key, dtype: " / ".join(filter(None, (fmt_ms(least("tapeless", key, dtype, which)) for which in ("compile_ms", "compile_again_ms"))))
    for key in rows:
        cells = [f"{key[0]} {key[1]}", both(key, "f64"), both(key, "f32")] + [fmt_ms(least(t, key, "f64")) for t in compiling]
        text.append("| " + " | ".join(cells) + " |")
    out["compile"] = text

    text = ["| workload | f64, 1 thread | f64, 2 threads | f32, 1 thread | f32, 2 threads | at most |", "|---|---|---|---|---|---|"]
    for key in rows + [("mixture", s) for s in dict.fromkeys(size(l) for l in mixtures)]:
        cells = []
        for dtype in ("f64", "f32"):
            for threads in (1, 2):
                found = [l["over_value"] for l in lines + mixtures if l["tool"] == "tapeless" and (l["workload"], size(l)) == key and l["dtype"] == dtype and l["threads"] == threads and "over_value" in l]
                cells.append(times(median(found)))
        if any(cells):
            text.append(f"| {key[0]} {key[1]} | " + " | ".join(cells) + f" | {2.5 if key[0] in COMPUTE else 1.3} |")
    out["value"] = text

    if mixtures:
        text = ["| n x K x d | type | threads | ms | GFLOP/s | part of the FMA peak | compile, first / again, ms |", "|---|---|---|---|---|---|---|"]
        for l in mixtures:
            text.append(f"| {size(l)} | {l['dtype']} | {l['threads']} | {fmt(l['ms_median'])} | {l.get('gflops', 0):.1f} | {l.get('of_peak', 0):.3f} | {l['compile_ms']:.1f} / {l['compile_again_ms']:.1f} |")
        out["mixtures"] = text
    if scaling:
        out["scaling"] = scaling.strip().splitlines()

    # Values and gradient norms against JAX in f64.
    bad, worst = [], {"f64": [0, 0], "f32": [0, 0]}
    for key in rows:
        reference = pick("jax", key, "f64", 1) or pick("c-hand", key, "f64", 1)
        for dtype, limits in (("f64", (1e-9, 1e-7)), ("f32", (1e-4, 1e-3))):
            for l in [l for t in (1, 2) for l in pick("tapeless", key, dtype, t)] if reference else []:
                off = [abs(l[k] - reference[0][k]) / (abs(reference[0][k]) + 1e-300) for k in ("value", "grad_norm")]
                worst[dtype] = [max(x, y) for x, y in zip(worst[dtype], off)]
                if any(x > y for x, y in zip(off, limits)):
                    bad.append(f"{key[0]} {key[1]} {dtype}: value off by {off[0]:.1e}, gradient norm by {off[1]:.1e}")
    out["agreement"] = [f"Values and gradient norms of ours against the reference's in f64, relative, at most: f64 {worst['f64'][0]:.1e} and {worst['f64'][1]:.1e}, f32 {worst['f32'][0]:.1e} and {worst['f32'][1]:.1e}."] + bad
    return out


def fmt_ms(ms):
    return "" if ms is None else f"{ms:.2f}" if ms < 10 else f"{ms:.0f}"


def write(out, prefix):
    path = os.path.join(ROOT, "docs", "performance.md")
    text = open(path).read()
    for name, table in out.items():
        pattern = re.compile(rf"(<!-- {prefix}{name} -->\n).*?(<!-- end -->)", re.S)
        if not pattern.search(text):
            if prefix:
                continue
            sys.exit(f"{path} has no marks for {name}")
        text = pattern.sub(lambda m: m[1] + "\n".join(table).rstrip() + "\n" + m[2], text)
    open(path, "w").write(text)


def main():
    a = arguments()
    os.makedirs(a.out, exist_ok=True)
    about = machine(a)
    path = os.path.join(a.out, "results.jsonl")
    lines = [json.loads(l) for l in open(path)] if os.path.exists(path) else []
    def save(line):
        lines.append(line)
        with open(path, "a") as f:
            f.write(json.dumps(line) + "\n")
    if not os.path.isdir(a.data):
        run([a.python, os.path.join(a.peers, "peers.py"), "--tool", "dump", "--workload", "all", "--out", a.data])
    ours = bench("peers")
    limits = os.path.join(a.out, "machine.json")
    if not os.path.exists(limits):
        if "avx512f" in open("/proc/cpuinfo").read():
            run([sys.executable, os.path.join(a.peers, "machine.py")], env={"MACHINE_JSON": limits})
        else:
            # The peers' own program is written for AVX-512.
            open(limits, "w").write(run([ours, "--machine"]))
    measure(a, ours, lines, save)
    mixtures, scaling = [], ""
    if not a.no_mixtures:
        for dtype in a.dtypes.split(","):
            for threads in map(int, a.threads.split(",")):
                out = run([ours, "--workload", "mixture", "--dtype", dtype, "--threads", str(threads), "--min-seconds", str(a.seconds)], cpus=threads)
                mixtures += [json.loads(l) for l in out.splitlines() if l.startswith("{")]
    if not a.no_scaling:
        scaling = run([bench("scaling"), "--plot", os.path.join(ROOT, "docs", "scaling.svg") if a.write else os.path.join(a.out, "scaling.svg")])
    out = tables(a, lines, mixtures, scaling, about)
    for name, table in out.items():
        print(f"## {name}\n\n" + "\n".join(table) + "\n")
    if a.write:
        write(out, a.prefix)


main()
