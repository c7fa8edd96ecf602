# SPDX-License-Identifier: Apache-2.0
"""A simulation that is killed at any moment goes on to the bits of one that never was."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["COPPICE_PROGRAM"]
MODEL = os.environ["COPPICE_MODEL"]
KILLED = -9
SETTINGS = {
    "rounds": 3, "model": MODEL, "lora.r": 2, "lora.target_modules": "q_proj,v_proj",
    "training.max_steps": 2, "training.batch_tokens": 64, "training.max_length": 64,
    "round.max_train_nodes": 5, "population.devices": 10, "data.bytes_each": "4kB",
    "report.every": 1, "report.clients": 1, "report.global_bytes": "2kB", "personal.max_steps": 1,
    "privacy.noise": "banded", "privacy.bands": 2, "privacy.max_participations": 8,
    "privacy.epsilon": 50, "round.weighted_by": "uniform", "round.ring_bits": 32,
    "round.clip_norm": 0.5, "round.fraction_train": 0.5}


class AKilledSimulation(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="coppice-sim-")
        self.addCleanup(scratch.cleanup)
        self.home = pathlib.Path(scratch.name)
        (self.home / "scenario.toml").write_text("")

    def coppice(self, *arguments, crash_at=None):
        environment = dict(os.environ)
        if crash_at:
            environment["COPPICE_CRASH_AT"] = crash_at
        return subprocess.run([PROGRAM, "sim", *map(str, arguments), "--format", "json"],
                              capture_output=True, text=True, timeout=120, check=False,
                              env=environment)

    def run_to_end(self, out, crash_at=None):
        """Gives the last document, and how often it was killed on the way."""
        flags = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        done = self.coppice("run", self.home / "scenario.toml", "--out", out, *flags,
                            crash_at=crash_at)
        kills = 0
        while done.returncode == KILLED:
            kills += 1
            self.assertLess(kills, 20)
            done = self.coppice("resume", out, crash_at=crash_at if kills < 3 else None)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), kills

    def test_gives_the_same_bits(self):
        whole, _ = self.run_to_end(self.home / "whole")
        self.assertEqual(len(whole["release_sha256"]), 3)
        for name in ("sim.before_state:1", "sim.before_state:2", "sim.after_state:2",
                     "sim.before_state:3"):
            parts, kills = self.run_to_end(self.home / name.replace(":", "-"), crash_at=name)
            self.assertGreater(kills, 0, name)
            self.assertEqual(parts["events_sha256"], whole["events_sha256"], name)
            self.assertEqual(parts["release_sha256"], whole["release_sha256"], name)


if __name__ == "__main__":
    unittest.main()
