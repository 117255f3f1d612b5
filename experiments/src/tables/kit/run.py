#!/usr/bin/env python3
"""Times the networks of this kit with onnxruntime.

Command:  python3 run.py [--threads N] [--provider NAME] [--seconds S] [--device NAME] [--out results.csv]
Needs:    Python 3.8 or later and the package onnxruntime; nothing else
Result:   results.csv, one row per network: the median of its forward passes, their spread, and the median of a small
          network that is timed before and after it, which tells whether the device changed its pace

Stop it at any time: when started again, it goes on with the networks that are not yet in results.csv. Give results.csv
to `ofa device read`.
"""

import argparse
import csv
import datetime
import hashlib
import json
import os
import platform
import statistics
import sys
import time

try:
    import numpy
    import onnxruntime
except ImportError as error:
    sys.exit(f"{error}: install it with `python3 -m pip install onnxruntime`")

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ["kit", "file", "arch", "sha256", "latency_ms", "iqr_ms", "runs", "pace_ms", "clock", "device", "threads",
           "runtime"]
WARM_UP, FEWEST, MOST = 3, 10, 1000


def arguments():
    parser = argparse.ArgumentParser(description="Times the networks of this kit with onnxruntime.")
    parser.add_argument("--threads", type=int, default=1, help="threads of a forward pass (default: 1)")
    parser.add_argument("--provider", default="CPUExecutionProvider", help="execution provider of onnxruntime")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each network (default: 1)")
    parser.add_argument("--device", default=platform.node() or "unknown", help="name of the device in the results")
    parser.add_argument("--out", default=os.path.join(HERE, "results.csv"), help="file to write or to go on with")
    return parser.parse_args()


def session(network, options):
    """The network, ready to run, and its input."""
    path = os.path.join(HERE, network["file"])
    with open(path, "rb") as file:
        model = file.read()
    if hashlib.sha256(model).hexdigest() != network["sha256"]:
        sys.exit(f"{path} is not the file that the kit was made with: copy the kit again")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    if options.provider not in onnxruntime.get_available_providers():
        sys.exit(f"no {options.provider} here; available: {', '.join(onnxruntime.get_available_providers())}")
    ready = onnxruntime.InferenceSession(model, settings, providers=[options.provider])
    images = numpy.random.default_rng(0).standard_normal(network["shape"], dtype=numpy.float32)
    return ready, {ready.get_inputs()[0].name: images}


def milliseconds(ready, images, seconds):
    """Times of forward passes, after a warm-up."""
    for _ in range(WARM_UP):
        ready.run(None, images)
    times, start = [], time.perf_counter()
    while len(times) < FEWEST or (time.perf_counter() - start < seconds and len(times) < MOST):
        before = time.perf_counter()
        ready.run(None, images)
        times.append(1e3 * (time.perf_counter() - before))
    return times


def known_rows(path, kit):
    """Rows of an earlier attempt. What a kill left of a last line is dropped."""
    if not os.path.exists(path):
        return []
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    whole = [row for row in rows if all(row.get(column) for column in COLUMNS)]
    if any(row["kit"] != kit["id"] for row in whole):
        sys.exit(f"{path} has results of another kit: choose another --out")
    return whole


def write(path, rows):
    temporary = path + ".unfinished"
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def main():
    options = arguments()
    with open(os.path.join(HERE, "manifest.json")) as file:
        kit = json.load(file)
    rows = known_rows(options.out, kit)
    same = {"device": options.device, "threads": str(options.threads),
            "runtime": f"onnxruntime {onnxruntime.__version__} {options.provider}"}
    for row in rows:
        other = [f"{key} `{row[key]}`" for key in same if row[key] != same[key]]
        if other:
            sys.exit(f"{options.out} was begun with {', '.join(other)}: choose another --out, or the same settings")
    done = {row["file"] for row in rows}
    left = [network for network in kit["networks"] if network["file"] not in done]
    print(f"{len(left)} of {len(kit['networks'])} networks, about {len(left) * 1.2 * options.seconds:.0f} s", flush=True)
    pace = session(kit["pace"], options)
    for number, network in enumerate(left, len(done) + 1):
        ready, images = session(network, options)
        before = milliseconds(*pace, 0.05 * options.seconds)
        times = milliseconds(ready, images, options.seconds)
        beside = before + milliseconds(*pace, 0.05 * options.seconds)
        quartiles = statistics.quantiles(times, n=4)
        rows.append({"kit": kit["id"], "file": network["file"], "arch": network["arch"], "sha256": network["sha256"],
                     "latency_ms": f"{statistics.median(times):.6f}", "iqr_ms": f"{quartiles[2] - quartiles[0]:.6f}",
                     "runs": len(times), "pace_ms": f"{statistics.median(beside):.6f}",
                     "clock": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **same})
        write(options.out, rows)
        print(f"{number}/{len(kit['networks'])} {network['file']} {statistics.median(times):.3f} ms", flush=True)
    print(options.out)


if __name__ == "__main__":
    main()
