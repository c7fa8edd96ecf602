#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Flower's strategies make of small updates: tests/vectors/flower/*.json.

    tools/make_flower_vectors.py           writes them; needs the package flwr 1.41
    tools/make_flower_vectors.py --check   exit code 1 where a file is not what would be written

The strategies are run as Flower's server runs them: configure_train on a grid of nodes that exist
by name alone, then aggregate_train on a reply from each. All arrays are float64, in two tensors, so
that tensors taken one by one and all at once are told apart. The README in the folder says what
each file has.
"""
import argparse
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from flwr.supercore.task_identity import TaskIdentity

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "flower"
FIRST_TENSOR = 3  # values; the others are the second tensor's
GRAIN = 1024  # updates are multiples of 1 / GRAIN, which float32 has exactly


class Nodes:
    """As much of a grid as a strategy asks for before a round."""

    def __init__(self, count):
        self.count = count

    def get_node_ids(self):
        return list(range(1, self.count + 1))


def to_arrays(values):
    values = np.asarray(values, dtype=np.float64)
    return ArrayRecord({"first": Array(values[:FIRST_TENSOR].copy()),
                        "second": Array(values[FIRST_TENSOR:].copy())})


def to_values(arrays):
    return np.concatenate([array.numpy().ravel() for array in arrays.values()])


def play_round(strategy, number, model, updates, weights):
    """The next model: every node answers with the model plus its update."""
    asked = list(strategy.configure_train(number, to_arrays(model), ConfigRecord(),
                                          Nodes(len(updates))))
    asked.sort(key=lambda message: message.metadata.dst_node_id)  # nodes are sampled in any order
    replies = [
        Message(RecordDict({"arrays": to_arrays(np.asarray(model) + update),
                            "metrics": MetricRecord({"num-examples": weight})}), reply_to=message)
        for message, update, weight in zip(asked, updates, weights, strict=True)]
    arrays, _ = strategy.aggregate_train(number, replies)
    return to_values(arrays)


def draw_updates(random, clients, parameters, spread=1.0):
    common = random.normal(size=parameters)
    updates = common + spread * random.normal(size=(clients, parameters))
    return np.round(updates * GRAIN) / GRAIN


# --- Server optimizers ---------------------------------------------------------------------------

OPTIMIZERS = [
    ("FedAvgM", {}),
    ("FedAvgM", {"server_learning_rate": 0.5, "server_momentum": 0.9}),
    ("FedAvgM", {"server_learning_rate": 1.0, "server_momentum": 0.5}),
    ("FedAdagrad", {}),
    ("FedAdagrad", {"eta": 0.03, "tau": 0.1}),
    ("FedAdam", {}),
    ("FedAdam", {"eta": 0.02, "beta_1": 0.5, "beta_2": 0.999, "tau": 0.01}),
    ("FedYogi", {}),
    ("FedYogi", {"eta": 0.1, "beta_1": 0.0, "beta_2": 0.9, "tau": 0.05}),
]


def server_optimizers(rounds=6, clients=3, parameters=7):
    cases = []
    for seed, (name, settings) in enumerate(OPTIMIZERS):
        random = np.random.default_rng([1, seed])
        strategy = getattr(flower, name)(**settings)
        model = np.round(random.normal(size=parameters) * GRAIN) / GRAIN
        case = {"rule": name, "settings": settings, "start": model.tolist(), "rounds": []}
        for number in range(1, rounds + 1):
            updates = draw_updates(random, clients, parameters, 0.3)
            updates[:, 0] = 0  # a parameter that nobody moves
            updates[:, 1] *= 1e-4  # one whose moments stay below tau
            weights = random.integers(1, 50, size=clients).tolist()
            model = play_round(strategy, number, model, updates, weights)
            case["rounds"].append({"updates": updates.tolist(), "weights": weights,
                                   "model": model.tolist()})
        cases.append(case)
    return cases


# --- Robust rules --------------------------------------------------------------------------------

ROBUST = [  # (strategy, settings, clients)
    ("FedMedian", {}, 1), ("FedMedian", {}, 2), ("FedMedian", {}, 7), ("FedMedian", {}, 12),
    ("FedTrimmedAvg", {}, 4), ("FedTrimmedAvg", {}, 10), ("FedTrimmedAvg", {"beta": 0.1}, 7),
    ("FedTrimmedAvg", {"beta": 0.29}, 100), ("FedTrimmedAvg", {"beta": 0.45}, 11),
    ("Krum", {}, 5), ("Krum", {"num_malicious_nodes": 1}, 6),
    ("Krum", {"num_malicious_nodes": 3}, 13),
    ("Krum", {"num_malicious_nodes": 2}, 5),  # fewer updates than the paper asks for
    ("MultiKrum", {"num_malicious_nodes": 1}, 7),
    ("MultiKrum", {"num_malicious_nodes": 1, "num_nodes_to_select": 4}, 7),
    ("MultiKrum", {"num_malicious_nodes": 3, "num_nodes_to_select": 10}, 13),
    ("Bulyan", {}, 4), ("Bulyan", {"num_malicious_nodes": 1}, 7),
    ("Bulyan", {"num_malicious_nodes": 1}, 8), ("Bulyan", {"num_malicious_nodes": 2}, 11),
    ("Bulyan", {"num_malicious_nodes": 3}, 18),
]


def robust_rules(parameters=5):
    cases = []
    for seed, (name, settings, clients) in enumerate(ROBUST):
        random = np.random.default_rng([2, seed])
        # Where the number of faulty updates is given, there are as many, far off.
        updates = draw_updates(random, clients, parameters)
        faulty = settings.get("num_malicious_nodes", 0)
        updates[random.permutation(clients)[:faulty]] += 8
        weights = random.integers(1, 50, size=clients).tolist()
        strategy = getattr(flower, name)(min_train_nodes=1, min_available_nodes=1, **settings)
        result = play_round(strategy, 1, np.zeros(parameters), updates, weights)
        cases.append({"rule": name, "settings": settings, "updates": updates.tolist(),
                      "weights": weights, "result": result.tolist()})
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # messages carry them
    different = 0
    for name, cases in [("server_optimizers.json", server_optimizers()),
                        ("robust_rules.json", robust_rules())]:
        lines = ",\n".join(json.dumps(case) for case in cases)
        text = f'{{"flower": "{version("flwr")}", "cases": [\n{lines}\n]}}\n'
        path = FOLDER / name
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what would be written")
            different += 1
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
