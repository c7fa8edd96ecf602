# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at the commit points of secure aggregation: the same round completes, and its sum is that
of the survivors."""

from crash_points import run_points
from fleet import KILLED, FleetTest

# Commits of the aggregator: roster, graph, who shared, survivors. States of a device: keys
# advertised, roster accepted, shares dealt, neighbours' shares in, survivors answered.
AGGREGATOR = [f"aggregator.secagg.{when}:{passing}" for passing in range(1, 5)
              for when in ("before", "after")]
DEVICE = [f"client.secagg.{when}:{passing}" for passing in range(1, 6)
          for when in ("before", "after")]
QUICK = ("aggregator.secagg.after:2", "aggregator.secagg.before:4", "client.secagg.after:3",
         "client.secagg.before:5")


class KilledUnderSecureAggregation(FleetTest):
    devices = 5
    secure = True
    settings = {"round.dropout_fraction": 0.25, "network.lease": "2s"}

    def start(self, crash_at=None):
        return self.serve("--rounds", "1", "--timeout", "90s", "--leave-when-fetched",
                          crash_at=crash_at)

    def finish(self, service, devices):
        for device in devices:
            self.assertEqual(device.wait(90), 0, device.output())
        self.assertEqual(service.wait(90), 0, service.output())
        self.assertEqual(self.query("SELECT round, status FROM rounds"), [(1, 1)])
        taking_part = self.check_release(1, 1)
        self.check_devices()
        for number in range(self.devices):  # keys and shares are wiped with the round's end
            self.assertFalse((self.device(number) / "secagg").exists())
        return taking_part

    def run_all(self, numbers):
        return [self.run_device(i, "--until-release", "1", "--timeout", "90s") for i in numbers]

    def aggregator_dies_at(self, point):
        first = self.serve()
        self.enroll_all()
        first.kill()
        service = self.start(crash_at=point)
        devices = self.run_all(range(self.devices))
        self.assertEqual(service.wait(90), KILLED, service.output())
        plans = self.query("SELECT round, plan FROM rounds")
        taking_part = self.finish(self.start(), devices)
        self.assertEqual(len(taking_part), self.devices)
        self.assertEqual(self.query("SELECT round, plan FROM rounds"), plans)

    def device_dies_at(self, point):
        service = self.start()
        self.enroll_all()
        devices = self.run_all(range(1, self.devices))
        dying = self.run_device(0, "--until-release", "1", "--timeout", "90s", crash_at=point)
        self.assertEqual(dying.wait(90), KILLED, dying.output())
        devices += self.run_all([0])
        taking_part = self.finish(service, devices)
        passing = int(point.rpartition(":")[2])
        self.assertTrue(set(self.ids[1:]) <= set(taking_part))
        if passing == 5:  # its upload was acknowledged
            self.assertIn(self.ids[0], taking_part)
        elif passing > 1:  # what it trained is lost, and its keys are used: it sits the round out
            self.assertNotIn(self.ids[0], taking_part)


if __name__ == "__main__":
    run_points(KilledUnderSecureAggregation, QUICK, AGGREGATOR + DEVICE)
