# SPDX-License-Identifier: Apache-2.0
"""A rule over buckets of devices under secure aggregation: each bucket's sum is unmasked by itself.

The median of two buckets is the mean of their means, whoever is in which.
"""

import unittest

from fleet import DELTAS, FleetTest


class BucketsUnderSecureAggregation(FleetTest):
    devices = 6
    secure = True
    settings = {"round.strategy": "median", "strategy.bucket": 3, "round.min_survivors": 6,
                "round.max_weight": 1, "round.goal_fraction": 1}

    def test_are_unmasked_one_by_one_and_give_the_median_of_their_means(self):
        service = self.serve("--rounds", "1", "--timeout", "90s", "--leave-when-fetched")
        self.enroll_all()
        devices = [self.run_device(number, "--until-release", "1", "--timeout", "90s")
                   for number in range(self.devices)]
        for device in devices:
            self.assertEqual(device.wait(120), 0, device.output())
        self.assertEqual(service.wait(), 0, service.output())
        self.assertEqual(self.query("SELECT round, status FROM rounds"), [(1, 1)])
        self.assertEqual(len(self.counted(1)), self.devices)
        scales, integers = self.step_of(1)
        wanted = sum(DELTAS) / self.devices
        self.assertAlmostEqual(max(scales) * max(integers), wanted, delta=1e-4)
        self.assertAlmostEqual(min(scales) * min(integers), wanted, delta=1e-4)
        self.check_devices()


if __name__ == "__main__":
    unittest.main()
