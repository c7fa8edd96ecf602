# SPDX-License-Identifier: Apache-2.0
"""Rounds with noise: what is released has as much as was planned, and what it costs is kept."""

import math
import sqlite3
import unittest

from fleet import DELTAS
from noised import NoisedCase


def correlation(one, other):
    return (sum(a * b for a, b in zip(one, other)) /
            math.sqrt(sum(a * a for a in one) * sum(b * b for b in other)))


class MeasuredCase(NoisedCase):
    """Judges the noise of releases."""

    def values_of(self, version):
        """A release's step by element. Slots are equally long: one rank of square matrices."""
        scales, integers = self.step_of(version)
        length = len(integers) // len(scales)
        self.assertEqual(length * len(scales), len(integers))
        return [scales[i // length] * value for i, value in enumerate(integers)]

    def noise_in(self, version):
        """What the release adds to the mean of those who were counted."""
        [(round_id,)] = self.query("SELECT round FROM rounds WHERE version = ?", version)
        mean = sum(DELTAS[self.ids.index(each)] for each in self.counted(round_id)) / self.cohort
        return [value - mean for value in self.values_of(version)]

    def planned_deviation(self, mechanism):
        """Of one element of the mean, for noise that is sure to be in the sum.

        The sensitivity is the clip and what rounding adds to it, a few percent.
        """
        deltas = mechanism["slots"][0]
        return math.sqrt(deltas["variance"]) / deltas["l2"] * self.clip / self.cohort

    def check_noise(self, noise, planned):
        """Five standard errors on both sides, and the rounding's few percent above."""
        error = 5 / math.sqrt(2 * len(noise))
        deviation = math.sqrt(sum(value * value for value in noise) / len(noise))
        self.assertGreater(deviation, planned * (1 - error))
        self.assertLess(deviation, planned * (1.06 + error))
        mean = sum(noise) / len(noise)
        self.assertLess(abs(mean), 5 * deviation / math.sqrt(len(noise)))


class IndependentNoise(MeasuredCase):
    devices = 4
    cohort = 4
    least = 3  # survivors: of their noise all is sure, and a fourth's comes on top

    def more_settings(self):
        return {"round.corrupt_fraction": 0.1, "round.min_survivors": self.least}

    def check_two_rounds(self, excess):
        self.enroll()
        noises = []
        for number in (1, 2):
            version = self.run_round(*range(self.devices))
            self.assertEqual(len(self.counted(number)), self.devices)
            spends = self.spends()
            self.assertEqual(len(spends), number)
            _, mechanism, series, epsilon = spends[-1]
            self.assertEqual(series, 0)
            noises.append(self.noise_in(version))
            self.check_noise(noises[-1], self.planned_deviation(mechanism) * math.sqrt(excess))
            for device in range(self.devices):
                self.assertAlmostEqual(self.marks(device)["cumulative_epsilon"], epsilon, places=6)
        self.assertGreater(spends[1][3], spends[0][3])
        self.assertGreater(spends[0][3], 0)
        self.assertLess(abs(correlation(*noises)), 5 / math.sqrt(len(noises[0])))
        spent = self.coppice("privacy", "spent", self.home / "fleet")
        self.assertAlmostEqual(spent["epsilon"], spends[1][3], places=6)


class CentralNoise(IndependentNoise):
    noise = "central"

    def test_is_in_each_release_and_is_paid(self):
        self.check_two_rounds(excess=1)


class SkellamNoise(IndependentNoise):
    noise = "skellam"

    def test_is_in_each_release_and_is_paid(self):
        self.check_two_rounds(excess=self.devices / self.least)


class DistributedGaussianNoise(IndependentNoise):
    noise = "discrete-gaussian"

    def test_is_in_each_release_and_is_paid(self):
        self.check_two_rounds(excess=self.devices / self.least)


class BandedNoise(MeasuredCase):
    devices = 6
    cohort = 3
    noise = "banded"

    def more_settings(self):
        return {"privacy.bands": 2, "privacy.max_participations": 2,
                "round.min_train_nodes": 3, "round.min_available_nodes": 3}

    def forget_members(self, round_id):
        """As an aggregator would that doesn't keep to its plans."""
        database = sqlite3.connect(self.home / "fleet" / "state.sqlite")
        with database:
            database.execute("DELETE FROM members WHERE round = ?", (round_id,))
        database.close()

    def test_goes_on_over_a_restart_and_lets_nobody_take_part_too_soon(self):
        self.enroll()
        first = self.noise_in(self.run_round(0, 1, 2))
        service = self.serve()
        resting = [self.run_device(number) for number in (0, 1, 2)]
        service.wait_for("0 devices were drawn")
        service.kill()
        for device in resting:
            device.kill()
        second = self.noise_in(self.run_round(3, 4, 5))
        spends = self.spends()
        self.assertEqual([series for _, _, series, _ in spends], [1, 1])
        self.assertEqual(spends[0][3], spends[1][3])  # one series is paid once
        # e_1 = z_1 and e_2 = z_2 - z_1 / 2: what round 1 added is partly taken back.
        planned = self.planned_deviation(spends[0][1])
        self.check_noise(first, planned)
        self.check_noise(second, planned * math.sqrt(1.25))
        self.assertAlmostEqual(correlation(first, second), -0.5 / math.sqrt(1.25),
                               delta=5 / math.sqrt(len(first)))
        self.forget_members(2)
        self.serve()
        device = [self.run_device(number) for number in (3, 4, 5)][0]
        device.wait_for("took part in round 2")


if __name__ == "__main__":
    unittest.main(verbosity=2)
