#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of aggregation in NumPy, in turn with bench/rules_bench on the same machine.

    bench/rules_beside_numpy.py build/dev/rules_bench [--pairs 5]     needs the package numpy

100 updates of 155,648 float32. NumPy's rules are written as Flower's strategies write them; krum is
also there with its products as X @ X.T, which BLAS computes in half the work. Prints the median of
the pairs' ratios, ours to NumPy's (below 1: we are faster), and each side's best time, once by the
clock and once in processor time, which other programs on the machine disturb less. BLAS uses as
many threads as OPENBLAS_NUM_THREADS says; ours is one thread.
"""
import argparse
import json
import statistics
import subprocess
import time

import numpy as np

CLIENTS, PARAMETERS, FAULTY = 100, 155_648, 20


def median(updates):
    return np.median(updates, axis=0)


def trimmed_mean(updates, cut=20):
    kept = np.partition(updates, (cut, CLIENTS - cut - 1), axis=0)[cut:CLIENTS - cut]
    return np.mean(kept, axis=0)


def best_of(updates, products):
    norms = np.square(updates).sum(axis=1)
    distances = norms[:, None] + norms[None, :] - products
    nearest = np.sort(distances, axis=1)[:, 1:CLIENTS - FAULTY - 1]
    return updates[np.argmin(nearest.sum(axis=1))]


def krum(updates):
    return best_of(updates, 2 * updates @ updates.T)


def krum_halved(updates):
    return best_of(updates, 2 * (updates @ updates.T))


RULES = [  # (name, NumPy's, ours)
    ("median", median, "coordinate_median_of_100"),
    ("trimmed mean", trimmed_mean, "trimmed_mean_of_100"),
    ("krum", krum, "krum_of_100"),
    ("krum, products halved", krum_halved, "krum_of_100"),
    ("sum", lambda updates: updates.sum(axis=0), "sum_at_once"),
]


def time_numpy(rule, updates):
    """(clock, processor) in milliseconds, the better of two runs after a first one."""
    rule(updates)
    runs = []
    for _ in range(2):
        clock, processor = time.perf_counter(), time.process_time()
        rule(updates)
        runs.append((time.perf_counter() - clock, time.process_time() - processor))
    return [1e3 * min(column) for column in zip(*runs)]


def time_ours(program, name):
    output = subprocess.run(
        [program, f"--benchmark_filter=^{name}(/real_time)?$", "--benchmark_format=json",
         "--benchmark_min_time=0.1"], check=True, capture_output=True, text=True).stdout
    run = json.loads(output)["benchmarks"][0]
    return [run["real_time"], run["cpu_time"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    updates = np.random.default_rng(1).random((CLIENTS, PARAMETERS), dtype=np.float32) - 0.5
    for label, rule, name in RULES:
        pairs = [(time_numpy(rule, updates), time_ours(options.program, name))
                 for _ in range(options.pairs)]
        for place, kind in enumerate(("clock", "processor")):
            ratio = statistics.median(ours[place] / theirs[place] for theirs, ours in pairs)
            theirs = min(theirs[place] for theirs, _ in pairs)
            ours = min(ours[place] for _, ours in pairs)
            print(f"{label:24} {kind:10} ratio {ratio:6.3f}   NumPy {theirs:7.1f} ms   "
                  f"ours {ours:7.1f} ms")


if __name__ == "__main__":
    main()
