# SPDX-License-Identifier: Apache-2.0
"""An upload that comes after its round: from a killed device's disk, into the next release, once.

The aggregator is killed too, at each commit that a late upload passes.
"""

import math
import unittest

from fleet import DELTAS, ELEMENT_BOUND, KILLED, MAX_WEIGHT, FleetTest


class ALateUpload(FleetTest):
    settings = {"round.strategy": "fedbuff", "strategy.buffer": 3, "round.pause": "1s",
                "network.lease": "2s"}

    def run_late(self, crash_at=None):
        flags = ("--rounds", "2", "--timeout", "90s", "--leave-when-fetched")
        service = self.serve(*flags, crash_at=crash_at)
        if crash_at:
            service.wait_for("serving:")
        self.enroll_all()
        last = ("--until-release", "2", "--timeout", "90s")
        devices = [self.run_device(number, *last) for number in (1, 2)]
        dying = self.run_device(0, *last, crash_at="client.chunk.before")
        self.assertEqual(dying.wait(), KILLED, dying.output())
        # The buffer isn't full, and nobody is left to wait for once the dead one's lease runs out.
        service.wait_for("round 1: release 1 from 2 devices")
        devices.append(self.run_device(0, *last))
        if crash_at:
            self.assertEqual(service.wait(), KILLED, service.output())
            made = self.query("SELECT max(version) FROM releases")[0][0]
            ended = made == 2  # it has nothing to do but to serve that
            service = self.serve(*(() if ended else ("--rounds", 2 - made)), *flags[2:])
        for device in devices:
            self.assertEqual(device.wait(), 0, device.output())
        if crash_at and ended:
            service.kill()
        else:
            self.assertEqual(service.wait(), 0, service.output())
        self.check_second_release()
        self.check_devices()

    def check_second_release(self):
        self.assertEqual(self.query("SELECT status FROM rounds WHERE round <= 2"), [(1,), (1,)])
        self.assertEqual(self.query("SELECT count(*) FROM late_sums WHERE round = 1"), [(0,)])
        [(client, counted_in)] = self.query(
            "SELECT client, counted_in FROM uploads WHERE round = 1 AND counted_in IS NOT NULL")
        self.assertEqual((client.hex(), counted_in), (self.ids[0], 2))
        # One of the second round may be late in turn.
        own = self.query("SELECT client FROM uploads WHERE round = 2 AND counted_in IS NULL")
        deltas = [DELTAS[self.ids.index(client.hex())] for (client,) in own]
        self.assertGreaterEqual(len(deltas), 2)  # with the late one the buffer is full
        wanted = (sum(deltas) + DELTAS[0] / math.sqrt(2)) / (len(deltas) + 1)
        scales, integers = self.step_of(2)
        unit = max(scales)
        tolerance = ELEMENT_BOUND / ((2**15 - 1) / (self.devices * MAX_WEIGHT) - 1) + unit
        self.assertLess(tolerance, 0.00008)  # as a fresh upload it would add 0.0001
        self.assertAlmostEqual(unit * max(integers), wanted, delta=tolerance)

    def test_counts_in_the_next_release(self):
        self.run_late()

    def test_is_offered_again_if_the_aggregator_dies_before_its_commit(self):
        self.run_late("aggregator.late.before")

    def test_counts_once_if_the_aggregator_dies_after_its_commit(self):
        self.run_late("aggregator.late.after")

    def test_counts_once_if_the_aggregator_dies_before_the_release_that_takes_it(self):
        self.run_late("aggregator.release.before:2")

    def test_counts_once_if_the_aggregator_dies_after_the_release_that_takes_it(self):
        self.run_late("aggregator.release.after:2")


if __name__ == "__main__":
    unittest.main()
