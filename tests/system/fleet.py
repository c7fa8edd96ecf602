# SPDX-License-Identifier: Apache-2.0
"""A fleet of real processes for the system tests: folders, processes, and what their state says.

Devices send constant deltas, so what a release must hold follows from who took part.
"""

import json
import os
import pathlib
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ["COPPICE_PROGRAM"]
MODEL = os.environ["COPPICE_MODEL"]
# Of devices 0, 1, ...; each subset of the first five has its own mean.
DELTAS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.0005)
ELEMENT_BOUND = 0.064  # twice the default learning rate times steps
MAX_WEIGHT = 8
KILLED = -9


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Process:
    """A coppice command in the background, its output in a file, never left behind."""

    def __init__(self, log, arguments, crash_at=None):
        environment = dict(os.environ)
        if crash_at:
            environment["COPPICE_CRASH_AT"] = crash_at
        self.log = pathlib.Path(log)
        self.start = self.log.stat().st_size if self.log.exists() else 0
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                [PROGRAM, *map(str, arguments)], stdout=out, stderr=out, env=environment)

    def output(self):
        return self.log.read_bytes()[self.start:].decode()

    def wait(self, seconds=60):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.output()}") from None

    def wait_for(self, words, seconds=30):
        deadline = time.monotonic() + seconds
        while words not in self.output():
            if time.monotonic() > deadline:
                raise AssertionError(f"no '{words}' within {seconds} s: {self.output()}")
            time.sleep(0.05)

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


class FleetTest(unittest.TestCase):
    """A folder with an aggregator and `devices` devices, enrolled by a running service."""

    devices = 3
    settings = {}
    secure = False  # with secure aggregation, and owners who insist on it
    floors = {}  # of the owners

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="coppice-system-")
        self.addCleanup(scratch.cleanup)
        self.home = pathlib.Path(scratch.name)
        self.processes = []
        self.addCleanup(self.kill_all)
        data = self.home / "data"
        data.mkdir()
        (data / "notes.txt").write_text("a few words of a device's own\n")
        self.ports = free_ports(3)
        self.make_fleet()

    def kill_all(self):
        for process in self.processes:
            process.kill()

    def coppice(self, *arguments, expect=0):
        """Runs a command to its end and gives its JSON document."""
        done = subprocess.run(
            [PROGRAM, *map(str, arguments), "--format", "json"],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def make_fleet(self):
        settings = {
            "network.control": f"tcp://127.0.0.1:{self.ports[0]}",
            "network.bulk": f"tcp://127.0.0.1:{self.ports[1]}",
            "network.enroll": f"tcp://127.0.0.1:{self.ports[2]}",
            "network.heartbeat": "500ms", "network.lease": "5s",
            "network.reconnect_after": "100ms", "network.reconnect_window": "200ms",
            "round.min_available_nodes": self.devices, "round.min_train_nodes": self.devices,
            "round.deadline": "60s", "round.secure_aggregation": str(self.secure).lower(),
            "round.min_survivors": 3 if self.secure else 2, **self.settings}
        owners = {} if self.secure else {"floors.require_secure_aggregation": "false",
                                         "floors.min_survivors": 2}
        floors = [f"--set={name}={value}" for name, value in {**owners, **self.floors}.items()]
        flags = [f"--set={name}={value}" for name, value in settings.items()]
        self.coppice("aggregator", "init", self.home / "fleet", "--model", MODEL, "--rank", "1",
                     "--targets", "q_proj", *flags)
        self.ids = []
        for number in range(self.devices):
            made = self.coppice("client", "init", self.device(number), "--model", MODEL, "--data",
                                self.home / "data", "--set=eligibility.max_load_per_core=1000",
                                "--set=eligibility.max_temperature=150", *floors)
            self.ids.append(made["id"])

    def device(self, number):
        return self.home / f"device{number}"

    def invite(self):
        return self.coppice("aggregator", "invite", self.home / "fleet")["invites"][0]

    def enroll_all(self):
        for number in range(self.devices):
            self.coppice("client", "enroll", self.device(number), self.invite())

    def serve(self, *flags, crash_at=None):
        process = Process(self.home / "aggregator.log",
                          ["aggregator", "run", self.home / "fleet", *flags], crash_at)
        self.processes.append(process)
        if not crash_at:
            process.wait_for("serving:")
        return process

    def run_device(self, number, *flags, crash_at=None):
        process = Process(self.home / f"device{number}.log",
                          ["client", "run", self.device(number), "--constant-delta",
                           DELTAS[number], "--set=personal.enabled=false", *flags], crash_at)
        self.processes.append(process)
        return process

    def query(self, sql, *values):
        database = sqlite3.connect(self.home / "fleet" / "state.sqlite")
        try:
            return database.execute(sql, values).fetchall()
        finally:
            database.close()

    def counted(self, round_id):
        return [row[0].hex() for row in
                self.query("SELECT client FROM uploads WHERE round = ?", round_id)]

    def step_of(self, version):
        """A release's step, decoded (docs/formats.md, "Step")."""
        [(raw,)] = self.query("SELECT bytes FROM contents WHERE hash = "
                              "(SELECT step FROM releases WHERE version = ?)", version)
        magic, _, slots, parameters = struct.unpack_from("<4sIIQ", raw)
        self.assertEqual(magic, b"CPST")
        scales = struct.unpack_from(f"<{slots}f", raw, 20)
        integers = struct.unpack_from(f"<{parameters}h", raw, 20 + 4 * slots)
        self.assertEqual(len(raw), 20 + 4 * slots + 2 * parameters)
        return scales, integers

    def check_release(self, version, round_id):
        """The release is the mean over exactly the counted devices, each once.

        A device's element is rounded by less than one ring unit, so is their mean; the step adds
        half of its own unit. Both together stay below the distance between any two sets of devices.
        """
        taking_part = self.counted(round_id)
        self.assertEqual(len(taking_part), len(set(taking_part)))
        deltas = [DELTAS[self.ids.index(each)] for each in taking_part]
        wanted = sum(deltas) / len(deltas)
        levels = (2**15 - 1) / (self.devices * MAX_WEIGHT) - 1
        scales, integers = self.step_of(version)
        unit = max(scales)
        tolerance = ELEMENT_BOUND / levels + unit
        self.assertLess(tolerance, 0.00008)  # sets' means differ by 0.00016 at least
        self.assertAlmostEqual(unit * max(integers), wanted, delta=tolerance)
        self.assertAlmostEqual(min(scales) * min(integers), wanted, delta=tolerance)
        return taking_part

    def check_devices(self, after=0):
        """Ledgers are whole; what a device holds as acknowledged is in the committed sum.

        Rounds up to `after` are not judged: a restored backup has lost them.
        """
        for number, identity in enumerate(self.ids):
            self.coppice("client", "ledger", self.device(number))
            path = self.device(number) / "marks.json"
            if not path.exists():
                continue
            marks = json.loads(path.read_text())
            if marks["acknowledged"] and marks["highest_round"] > after:
                self.assertIn(identity, self.counted(marks["highest_round"]))
