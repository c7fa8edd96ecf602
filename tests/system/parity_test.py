# SPDX-License-Identifier: Apache-2.0
"""The simulator gives the bits that a fleet of real processes gives.

Eight devices train on texts of their own, under secure aggregation and with everything that a fleet
has by default, or with another strategy. Then the simulator plays the same rounds, with their ids,
texts and settings.
"""

import random
import unittest

from fleet import KILLED, MODEL, FleetTest, Process

DEVICES = 8
ROUNDS = 2
WORDS = ("river stone lantern orchard winter copper thread harbour meadow signal garden window "
         "barley kettle morning letter station bridge pepper violin").split()


def paragraphs(number):
    draw = random.Random(number)
    return "\n\n".join(
        " ".join(draw.choice(WORDS) for _ in range(draw.randint(40, 90))) + "."
        for _ in range(14 + 3 * number))


class PlayedTwice:
    devices = DEVICES
    strategy = {}
    dies = {}  # a device and the point at which it is killed, once
    settings = {"training.max_steps": 3, "training.batch_tokens": 64, "training.max_length": 64,
                "training.seed": 7, "round.goal_fraction": 1, "round.examples_per_weight": 10}

    def make_fleet(self):
        self.settings = {**self.settings, **self.strategy}
        super().make_fleet()
        for number in range(DEVICES):
            folder = self.home / "texts" / f"device{number}"
            folder.mkdir(parents=True)
            (folder / "diary.txt").write_text(paragraphs(number))

    def run_trainer(self, number, crash_at=None):
        process = Process(self.home / f"device{number}.log",
                          ["client", "run", self.device(number),
                           f"--set=client.data={self.home / 'texts' / f'device{number}'}",
                           "--set=personal.enabled=false", "--until-release", ROUNDS,
                           "--timeout", "240s"], crash_at)
        self.processes.append(process)
        return process

    def test_release_the_same_bits(self):
        service = self.serve("--rounds", ROUNDS, "--timeout", "240s", "--leave-when-fetched")
        self.enroll_all()
        devices = [self.run_trainer(number, self.dies.get(number)) for number in range(DEVICES)]
        for number in self.dies:
            self.assertEqual(devices[number].wait(300), KILLED, devices[number].output())
            devices[number] = self.run_trainer(number)
        for device in devices:
            self.assertEqual(device.wait(300), 0)
        self.assertEqual(service.wait(), 0)
        for number in range(1, ROUNDS + 1):
            self.assertEqual(len(self.counted(number)), DEVICES)
        released = [row[0].hex() for row in self.query(
            "SELECT adapter FROM releases WHERE version > 0 ORDER BY version")]

        (self.home / "ids").write_text("\n".join(self.ids) + "\n")
        (self.home / "scenario.toml").write_text("")
        own = {"rounds": ROUNDS, "model": MODEL, "data.source": "folder",
               "data.path": self.home / "texts", "lora.r": 1, "lora.target_modules": "q_proj",
               "round.min_available_nodes": DEVICES, "round.min_train_nodes": DEVICES,
               "round.deadline": "60s", "round.min_survivors": 3, "report.clients": 1,
               "personal.max_steps": 1, "report.global_bytes": "1kB",
               "round.secure_aggregation": str(self.secure).lower(), **self.settings}
        run = self.coppice("sim", "run", self.home / "scenario.toml", "--out", self.home / "run",
                           "--identities", self.home / "ids",
                           *[f"--set={name}={value}" for name, value in own.items()])
        self.assertEqual(run["release_sha256"], released)
        self.assertEqual(len(set(released)), ROUNDS)


class AFleetAndItsSimulation(PlayedTwice, FleetTest):
    secure = True


class FactorsThatTakeTurnsUnderMomentum(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.strategy": "rolora", "strategy.server_optimizer": "momentum"}


class ASumForEachDevice(PlayedTwice, FleetTest):
    secure = False
    strategy = {"round.strategy": "median"}


class AMaskedSumForEachBucket(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.strategy": "median", "strategy.bucket": 4, "round.min_survivors": 6}


class APatchAboveTheTrainedRanks(PlayedTwice, FleetTest):
    secure = False
    strategy = {"round.strategy": "fedex"}


class ACorrectionThatEachDeviceKeeps(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.strategy": "feddyn"}
    # One trained and has not said so; another has not written down that its round counts.
    dies = {0: "client.kept.after:1", 1: "client.kept.before:2"}


class AControlThatReleasesCarry(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.strategy": "scaffold", "training.optimizer": "sgd",
                "training.learning_rate": 0.1}


class AFactorThatEachDeviceKeeps(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.strategy": "fedsa"}


class ClustersThatNobodyLearnsOf(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.strategy": "ifca", "strategy.clusters": 2}
    dies = {0: "client.kept.after:1", 1: "client.kept.before:2"}


class CoresAfterARoundOfBothFactors(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.strategy": "fedsb", "strategy.warmup_rounds": 1}


class UploadsOfFifteenLevels(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.codec": "int4"}
    # One trained, and has not encoded; another has not written down that its round counts: the
    # third write, after what training made and what the upload lost.
    dies = {0: "client.kept.after:1", 1: "client.kept.before:3"}


class ValuesThatTakeTurns(PlayedTwice, FleetTest):
    secure = True
    strategy = {"round.codec": "top-k", "round.top_k": 0.2, "round.strategy": "rolora"}


if __name__ == "__main__":
    unittest.main()
