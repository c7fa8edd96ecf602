# SPDX-License-Identifier: Apache-2.0
"""Scenarios that are compared: played in pairs, gone on with after a SIGKILL, and added up as their
own reports say; settings that a sweep chose, handed on."""

import csv
import json
import math
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["COPPICE_PROGRAM"]
MODEL = os.environ["COPPICE_MODEL"]
KILLED = -9
T_OF_ONE_DEGREE = 12.7062  # two-sided 5 %, as printed in tables
SCENARIO = """
name = "tiny"
rounds = 2
model = "../models/base.gguf"
[lora]
r = 2
target_modules = ["q_proj", "v_proj"]
[training]
learning_rate = 0.004
max_steps = 2
batch_tokens = 64
max_length = 64
[round]
max_train_nodes = 4
examples_per_weight = 1
[population]
devices = 6
[data]
bytes_each = "16kB"
[report]
every = 1
clients = 2
global_bytes = "3kB"
[personal]
max_steps = 1
"""
VARY = "--vary=round.weighted_by=examples,uniform"


class Study(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="coppice-compare-")
        self.addCleanup(scratch.cleanup)
        self.home = pathlib.Path(scratch.name)
        for name in ("models", "scenarios"):
            (self.home / name).mkdir()
        shutil.copy(MODEL, self.home / "models" / "base.gguf")
        self.scenario = self.home / "scenarios" / "tiny.toml"
        self.scenario.write_text(SCENARIO)

    def coppice(self, *arguments, crash_at=None):
        environment = dict(os.environ)
        environment.pop("COPPICE_MODEL")  # a setting, which would win over the scenario's
        if crash_at:
            environment["COPPICE_CRASH_AT"] = crash_at
        return subprocess.run([PROGRAM, "sim", *map(str, arguments), "--format", "json"],
                              capture_output=True, text=True, timeout=120, check=False,
                              env=environment)

    def result(self, *arguments):
        done = self.coppice(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refusal(self, *arguments):
        done = self.coppice(*arguments)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr


class AComparison(Study):
    def compare(self, out, *more, crash_at=None):
        return self.coppice("compare", self.scenario, VARY, "--seeds", 2, "--out", out, *more,
                            crash_at=crash_at)

    def report_of(self, folder):
        """What `sim report` says of one run, under the names that compare.csv has."""
        run = self.result("report", folder, "--out", self.home / "report.html")["runs"][0]
        served = run["clients"]["what serves"]
        return {"bits_per_byte.global": run["bits_per_byte"]["global"]["shared"],
                "clients.served": served["mean"],
                "clients.worst_decile": served["worst_decile"],
                "clients.spread": served["p90"] - served["p10"],
                "clients.harmed": run["harmed"] / run["evaluated"],
                "rounds": run["rounds"], "bytes_up": run["bytes_up"],
                "bytes_down": run["bytes_down"], "time_s": run["time_s"], "joules": run["joules"]}

    def expect_interval(self, row, prefix, values):
        """Two values: the mean, and t s / sqrt(2) around it."""
        mean = sum(values) / 2
        half = T_OF_ONE_DEGREE * abs(values[0] - values[1]) / 2
        self.assertTrue(math.isclose(float(row[prefix + "mean"]), mean, abs_tol=1e-12), row)
        for end, bound in (("ci95_low", mean - half), ("ci95_high", mean + half)):
            self.assertTrue(math.isclose(float(row[prefix + end]), bound,
                                         abs_tol=1e-5 * half + 1e-12), row)

    def test_adds_up_what_the_runs_themselves_report(self):
        out = self.home / "out"
        done = self.compare(out)
        self.assertEqual(done.returncode, 0, done.stderr)
        reports = {name: [self.report_of(out / name / f"seed-{seed}") for seed in (1, 2)]
                   for name in ("examples", "uniform")}
        self.assertNotEqual(reports["examples"], reports["uniform"])
        with open(out / "compare.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        checked = 0
        for row in rows:
            measure = row["measure"]
            if measure not in reports["examples"][0] or row["at"] == "equal bytes":
                continue  # all runs end after the same round: equal rounds are the end
            of = {name: [report[measure] for report in reports[name]] for name in reports}
            mine = of[row["scenario"]]
            self.assertEqual([float(row["seed.1"]), float(row["seed.2"])], mine, measure)
            self.expect_interval(row, "", mine)
            self.expect_interval(row, "to_first.", [a - b for a, b in zip(mine, of["examples"])])
            checked += 1
        self.assertEqual(checked, 2 * len(reports["examples"][0]))
        document = json.loads(done.stdout)
        self.assertEqual(document["schema"], "coppice.sim_compare.v1")
        self.assertEqual([scenario["settings"] for scenario in document["scenarios"]],
                         [{"round.weighted_by": '"examples"'}, {"round.weighted_by": '"uniform"'}])
        for file in document["files"]:
            self.assertGreater(os.path.getsize(file), 500, file)

    def test_says_what_attacks_cost_honest_clients_and_what_references_reach(self):
        out = self.home / "out"
        document = self.result(
            "compare", self.scenario,
            "--vary", "round.strategy=fedavg,median,local-only,centralized",
            "--attacks", "sign-flip,backdoor", "--seeds", 2, "--out", out,
            "--set", "report.clients=0", "--set", "round.secure_aggregation=false",
            "--set", "attack.fraction=0.4")

        def clients_of(folder, seed):
            lines = (out / folder / f"seed-{seed}" / "events.jsonl").read_text().splitlines()
            return {line["client"]: line for line in map(json.loads, lines)
                    if line["event"] == "client"}

        rows = {(row["scenario"], row["attack"]): row for row in document["robustness"]}
        self.assertEqual(len(rows), 4)
        for name in ("fedavg", "median"):
            self.assertIn("needs attack.phrase", rows[name, "backdoor"]["refused"])
            row = rows[name, "sign-flip"]
            self.assertEqual(row["strength"], 4)
            for seed in (1, 2):
                clean, attacked = clients_of(name, seed), clients_of(name + "+sign-flip", seed)
                self.assertEqual(sorted(clean), sorted(attacked))
                honest = [number for number, line in attacked.items() if "hostile" not in line]
                self.assertFalse(any("hostile" in line for line in clean.values()))
                self.assertLess(len(honest), len(attacked))
                for which, lines in (("by_seed", attacked), ("clean_by_seed", clean)):
                    mean = sum(lines[number]["shared"] for number in honest) / len(honest)
                    self.assertTrue(math.isclose(row["shared"][which][seed - 1], mean,
                                                 rel_tol=1e-12), row)
            self.assertTrue(math.isclose(
                row["shared"]["loss"]["mean"],
                row["shared"]["mean"] - row["shared"]["clean"]["mean"], abs_tol=1e-12))
        page = (out / "compare.html").read_text()
        self.assertIn("<h2>Robustness</h2>", page)
        self.assertIn("fedavg under sign-flip", page)
        # The references' rows are the first strategy's own figures.
        scenarios = {scenario["name"]: scenario for scenario in document["scenarios"]}
        self.assertEqual(list(scenarios), ["fedavg", "median", "local-only", "centralized"])
        for name, field in (("local-only", "local"), ("centralized", "centralized")):
            self.assertTrue(scenarios[name]["reference"])
            served = next(measure for measure in scenarios[name]["measures"]
                          if measure["measure"] == "clients.served")
            for seed in (1, 2):
                values = [line[field] for line in clients_of("fedavg", seed).values()]
                self.assertTrue(math.isclose(served["by_seed"][seed - 1], sum(values) / len(values),
                                             rel_tol=1e-12))

    def test_that_is_killed_goes_on_and_plays_nothing_twice(self):
        idle = ("--set", "training.kind=none")
        whole = self.compare(self.home / "whole", *idle)
        self.assertEqual(whole.returncode, 0, whole.stderr)
        kills = 0
        crash_at = "sim.before_state:4"  # two a run, so in the second that a process plays
        done = self.compare(self.home / "parts", *idle, crash_at=crash_at)
        while done.returncode == KILLED:
            kills += 1
            self.assertLess(kills, 20)
            done = self.compare(self.home / "parts", *idle, crash_at=crash_at)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(kills, 1)
        table = self.home / "parts" / "compare.csv"
        self.assertEqual(table.read_bytes(), (self.home / "whole" / "compare.csv").read_bytes())
        events = sorted((self.home / "parts").glob("*/seed-*/events.jsonl"))
        self.assertEqual(len(events), 4)
        before = [path.stat().st_mtime_ns for path in events]
        self.assertEqual(self.compare(self.home / "parts", *idle).returncode, 0)
        self.assertEqual([path.stat().st_mtime_ns for path in events], before)

    def test_is_refused_where_it_would_say_nothing(self):
        out = self.home / "out"
        idle = ("--set", "training.kind=none", "--seeds", 1, "--out", out)
        self.result("compare", self.scenario, VARY, *idle)
        self.assertIn("begun with other settings (rounds)",
                      self.refusal("compare", self.scenario, VARY, *idle, "--set", "rounds=1"))
        texts = self.refusal("compare", self.scenario, "--vary=data.bytes_each=16kB,5kB",
                             "--out", self.home / "texts")
        self.assertIn("differ in data.bytes_each", texts)
        self.assertIn("two scenarios are called tiny",
                      self.refusal("compare", self.scenario, self.scenario))
        self.assertIn("--seeds N", self.refusal("compare", self.scenario, "--set", "seed=3"))
        self.assertIn("name a strategy too", self.refusal(
            "compare", self.scenario, "--vary=round.strategy=local-only,centralized"))
        self.assertIn("no attack is called 'scaled'", self.refusal(
            "compare", self.scenario, "--attacks", "scaled"))
        self.assertIn("sets attack.kind = nan", self.refusal(
            "compare", self.scenario, "--attacks", "scale", "--set", "attack.kind=nan"))
        self.assertIn("name a single file",
                      self.refusal("compare", self.scenario, self.scenario, VARY))


class ASweep(Study):
    def test_hands_on_what_it_chose_and_what_that_took(self):
        out = self.home / "deep" / "sweep"
        sweep = ("sweep", self.scenario, "--grid", "training.learning_rate=0.0000001,0.004",
                 VARY, "--seeds", 1, "--out", out)
        winners = self.result(*sweep)["winners"]
        self.assertEqual([winner["scenario"] for winner in winners], ["examples", "uniform"])
        for winner in winners:
            self.assertEqual(winner["chosen"], {"training.learning_rate": "0.004"})
            table = [row["bits_per_byte"] for row in winner["table"]]
            self.assertLess(table[1], table[0])
        # On gate text alone, with seeds that nothing is compared with.
        for path in out.glob("*/*/seed-*/events.jsonl"):
            self.assertEqual(path.parent.name, "seed-1001")
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            sets = {line["set"] for line in lines if line["event"] == "evaluation"}
            self.assertEqual(sets, {"gate"})
        files = [winner["file"] for winner in winners]
        self.assertIn('model = "../../models/base.gguf"', pathlib.Path(files[0]).read_text())
        compare = ("compare", *files, "--seeds", 1, "--out", self.home / "compared")
        document = self.result(*compare, "--set", "training.kind=none")
        for scenario in document["scenarios"]:
            self.assertEqual(scenario["tuned"]["values"], 2)
            self.assertEqual(scenario["tuned"]["seeds"], 1)
            self.assertEqual(scenario["tuned"]["rounds"], 2)
        # Whoever changes what was chosen has tuned nothing.
        changed = self.result(*compare[:-1], self.home / "changed", "--set", "training.kind=none",
                              "--set", "training.learning_rate=0.1")
        self.assertEqual([scenario["tuned"] for scenario in changed["scenarios"]], [None, None])


if __name__ == "__main__":
    unittest.main()
