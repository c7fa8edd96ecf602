# SPDX-License-Identifier: Apache-2.0
"""A device whose owner picks it up while it trains: it pauses, survives SIGKILL, and goes on."""

import json
import time
import unittest

from fleet import KILLED, FleetTest, Process

PATIENCE = 90  # seconds, where another machine needs two


class PausedWhileItTrains(FleetTest):
    settings = {"round.min_survivors": 2, "training.max_steps": 40, "training.batch_tokens": 512,
                "round.deadline": "3m"}

    def setUp(self):
        super().setUp()
        words = "the miller came to the harbour with letters about rain and the price of flour"
        text = "\n\n".join(f"Day {day}: {words} {day * 31 % 57}, and asked for {day * 17 % 101}."
                           for day in range(200))
        (self.home / "data" / "diary.txt").write_text(text)
        self.kept = self.device(0) / "training"

    def run_training_device(self, crash_at=None):
        process = Process(self.home / "device0.log",
                          ["client", "run", self.device(0), "--set=personal.enabled=false",
                           "--set=resources.checkpoint_every=1ms", "--set=resources.nice=0",
                           "--until-release", "1", "--timeout", "3m"], crash_at)
        self.processes.append(process)
        return process

    def wait_until(self, true, what, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while not true():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.02)

    def is_paused(self):
        path = self.device(0) / "status.json"
        return path.exists() and json.loads(path.read_text())["phase"] == "training, paused"

    def test_it_goes_on_in_the_same_round_after_a_pause_and_a_kill(self):
        service = self.serve("--rounds", "1", "--timeout", "3m", "--leave-when-fetched")
        self.enroll_all()
        others = [self.run_device(i, "--until-release", "1", "--timeout", "3m") for i in (1, 2)]
        device = self.run_training_device()
        self.wait_until(self.kept.exists, "no checkpoint is written")
        self.coppice("client", "pause", self.device(0))
        device.wait_for("paused (not paused: paused by the owner", PATIENCE)
        self.wait_until(self.is_paused, "the status doesn't say so")
        before = self.kept.read_bytes()
        time.sleep(0.5)
        self.assertEqual(self.kept.read_bytes(), before)  # it computes nothing
        device.kill()
        (self.device(0) / "status.json").unlink()
        device = self.run_training_device()
        self.wait_until(self.is_paused, "it isn't back in its round")
        self.assertEqual(self.kept.read_bytes(), before)
        self.coppice("client", "resume", self.device(0))
        device.wait_for("goes on", PATIENCE)
        for process in [*others, device]:
            self.assertEqual(process.wait(PATIENCE), 0, process.output())
        self.assertEqual(service.wait(PATIENCE), 0)
        self.assertEqual(len(self.counted(1)), 3)
        self.assertFalse(self.kept.exists())

    def test_killed_in_the_middle_of_its_training_it_still_takes_part(self):
        service = self.serve("--rounds", "1", "--timeout", "3m", "--leave-when-fetched")
        self.enroll_all()
        others = [self.run_device(i, "--until-release", "1", "--timeout", "3m") for i in (1, 2)]
        for point in ("client.training.after:3", "client.training.before:2"):
            self.assertEqual(self.run_training_device(point).wait(PATIENCE), KILLED)
            self.assertTrue(self.kept.exists())
        device = self.run_training_device()
        for process in [*others, device]:
            self.assertEqual(process.wait(PATIENCE), 0, process.output())
        self.assertEqual(service.wait(PATIENCE), 0)
        self.assertEqual(len(self.counted(1)), 3)
        self.assertFalse(self.kept.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
