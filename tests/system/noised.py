# SPDX-License-Identifier: Apache-2.0
"""A fleet of real processes whose rounds have noise."""

import json

from fleet import FleetTest


class NoisedCase(FleetTest):
    secure = True
    clip = 1.0
    multiplier = 0.5
    floors = {"floors.max_epsilon": 1e6}
    noise = "central"

    def setUp(self):
        self.settings = {"privacy.noise": self.noise, "privacy.noise_multiplier": self.multiplier,
                         "privacy.epsilon": 1e6, "privacy.delta": 1e-5, "round.pause": "100ms",
                         "round.clip_norm": self.clip, "round.weighted_by": "uniform",
                         **self.more_settings()}
        super().setUp()

    def more_settings(self):
        return {}

    def spends(self):
        return [(round_id, json.loads(mechanism), series, float(epsilon)) for
                round_id, mechanism, series, epsilon in
                self.query("SELECT round, mechanism, series, epsilon FROM spends ORDER BY round")]

    def marks(self, number):
        return json.loads((self.device(number) / "marks.json").read_text())

    def run_round(self, *numbers):
        """To the next release, which all of these devices fetch."""
        release = self.query("SELECT max(version) FROM releases")[0][0] + 1
        service = self.serve("--rounds", "1", "--timeout", "60s", "--leave-when-fetched")
        devices = [self.run_device(number, "--until-release", release, "--timeout", "60s")
                   for number in numbers]
        for device in devices:
            self.assertEqual(device.wait(), 0, device.output())
        self.assertEqual(service.wait(), 0, service.output())
        return release

    def enroll(self):
        service = self.serve("--set=round.min_train_nodes=100")
        self.enroll_all()
        service.kill()
