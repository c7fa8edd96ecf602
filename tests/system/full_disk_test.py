# SPDX-License-Identifier: Apache-2.0
"""A full disk pauses rounds: the service stays, and goes on with the same round.

The kernel's limit on the size of files stands for the disk: at 0 no file of the service's process
takes another byte, and it can be lifted while the process runs. No right to mount is needed.
"""

import resource
import subprocess
import time
import unittest

from fleet import KILLED, PROGRAM, FleetTest, Process

FULL = "is full: rounds pause"


class Unlimited(Process):
    """Its output goes through a pipe, which the limit doesn't reach."""

    def __init__(self, log, arguments):
        self.log = log
        self.start = 0
        with open(log, "ab") as out:
            self.copy = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out)
        # Python ignores SIGXFSZ, and so does what it starts with restore_signals=False: a write
        # beyond the limit is an error then.
        self.child = subprocess.Popen(
            [PROGRAM, *map(str, arguments)], stdout=self.copy.stdin, stderr=self.copy.stdin,
            restore_signals=False)
        self.copy.stdin.close()

    def kill(self):
        super().kill()
        self.copy.wait()


class AFullDisk(FleetTest):
    settings = {"round.min_survivors": 2}

    def serve_on_a_disk(self, *flags):
        process = Unlimited(self.home / "aggregator.log",
                            ["aggregator", "run", self.home / "fleet", "--timeout", "90s", *flags])
        self.processes.append(process)
        process.wait_for("serving:")
        return process

    def fill(self, service):
        _, hard = resource.prlimit(service.child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.child.pid, resource.RLIMIT_FSIZE, (0, hard))

    def empty(self, service):
        _, hard = resource.prlimit(service.child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.child.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def status(self):
        return self.coppice("aggregator", "status", self.home / "fleet")

    def start_device(self, number, crash_at=None):
        return self.run_device(number, "--until-release", "1", "--timeout", "90s",
                               crash_at=crash_at)

    def finish(self, service, devices):
        for device in devices:
            self.assertEqual(device.wait(), 0, device.output())
        self.assertEqual(service.wait(), 0, service.output())
        self.assertEqual(self.query("SELECT round, status FROM rounds"), [(1, 1)])
        self.assertEqual(len(self.check_release(1, 1)), 3)
        self.check_devices()

    def test_before_a_round_lets_it_wait(self):
        service = self.serve_on_a_disk("--rounds", "1", "--leave-when-fetched")
        self.enroll_all()
        self.fill(service)
        devices = [self.start_device(number) for number in range(3)]
        service.wait_for(FULL)
        self.assertEqual(self.query("SELECT round FROM rounds"), [])
        self.assertIsNone(service.child.poll(), service.output())
        self.empty(service)
        service.wait_for("has space again")
        self.finish(service, devices)

    def test_within_a_round_acknowledges_nothing_and_goes_on_with_the_same_round(self):
        service = self.serve_on_a_disk("--rounds", "1", "--leave-when-fetched")
        self.enroll_all()
        devices = [self.start_device(number) for number in (1, 2)]
        dying = self.start_device(0, crash_at="client.chunk.before")
        self.assertEqual(dying.wait(), KILLED, dying.output())
        for device in devices:
            device.wait_for("training")
        while len(self.counted(1)) < 2:
            self.assertIsNone(service.child.poll(), service.output())
        plans = self.query("SELECT round, plan FROM rounds")
        self.fill(service)
        devices.append(self.start_device(0))
        service.wait_for(FULL)
        self.assertEqual(len(self.counted(1)), 2)
        self.assertIsNone(service.child.poll(), service.output())
        self.assertIsNone(devices[-1].child.poll(), devices[-1].output())
        self.check_devices()  # no device holds anything as acknowledged that isn't committed
        self.empty(service)
        service.wait_for("has space again")
        self.finish(service, devices)
        self.assertEqual(self.query("SELECT round, plan FROM rounds"), plans)

    def test_that_is_nearly_full_keeps_a_round_from_starting(self):
        service = self.serve_on_a_disk("--rounds", "1", "--set=retention.min_free=1000TB")
        self.enroll_all()
        for number in range(3):
            self.start_device(number)
        service.wait_for("waiting for disk space")
        deadline = time.monotonic() + 30  # it is written every half second
        while "retention.min_free" not in self.status()["waiting_for"]:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.query("SELECT round FROM rounds"), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
