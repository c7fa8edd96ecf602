# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at each commit point, of the aggregator and of a device: the same round completes."""

from crash_points import run_points
from fleet import KILLED, FleetTest

# "before" and "after" each commit; ":K" is its K-th passing.
AGGREGATOR = [f"aggregator.{commit}.{when}" for commit in ("plan", "sum", "close", "release")
              for when in ("before", "after")]
# A device's marks: epoch, plan accepted, seal begun, bytes stored, acknowledged.
DEVICE = [f"client.marks.{when}:{passing}" for passing in range(1, 6)
          for when in ("before", "after")]
DEVICE += [f"client.{commit}.{when}" for commit in ("upload", "shared")
           for when in ("before", "after")]
DEVICE += ["client.chunk.before"] + [f"client.send.before:{passing}" for passing in range(1, 5)]
# Between these two the seal was begun and no bytes are on disk: the device sits the round out.
SITS_OUT = {"client.marks.after:3", "client.upload.before", "client.upload.after",
            "client.marks.before:4"}
QUICK = ("aggregator.sum.after", "aggregator.release.before", "client.marks.after:3",
         "client.chunk.before")


class Killed(FleetTest):
    settings = {"round.min_survivors": 2}

    def finish(self, service, devices):
        for device in devices:
            self.assertEqual(device.wait(), 0, device.output())
        self.assertEqual(service.wait(), 0)
        self.assertEqual(self.query("SELECT round, status FROM rounds"), [(1, 1)])
        taking_part = self.check_release(1, 1)
        self.check_devices()
        return taking_part

    def start(self, crash_at=None):
        return self.serve("--rounds", "1", "--timeout", "90s", "--leave-when-fetched",
                          crash_at=crash_at)

    def aggregator_dies_at(self, point):
        first = self.serve()
        self.enroll_all()
        first.kill()
        service = self.start(crash_at=point)
        devices = [self.run_device(i, "--until-release", "1", "--timeout", "90s") for i in range(3)]
        self.assertEqual(service.wait(), KILLED, service.output())
        plans = self.query("SELECT round, plan FROM rounds")
        counted = self.counted(1)
        ended = point == "aggregator.release.after"
        service = self.serve("--timeout", "90s", "--leave-when-fetched") if ended else self.start()
        if ended:
            for device in devices:
                self.assertEqual(device.wait(), 0, device.output())
            service.kill()
            self.assertEqual(len(self.check_release(1, 1)), 3)
        else:
            self.assertEqual(len(self.finish(service, devices)), 3)
        if plans:  # the same round went on, with what was counted
            self.assertEqual(self.query("SELECT round, plan FROM rounds WHERE round = 1"), plans)
        self.assertTrue(set(counted) <= set(self.counted(1)))

    def device_dies_at(self, point):
        service = self.start()
        self.enroll_all()
        devices = [self.run_device(i, "--until-release", "1", "--timeout", "90s") for i in (1, 2)]
        dying = self.run_device(0, "--until-release", "1", "--timeout", "90s", crash_at=point)
        self.assertEqual(dying.wait(), KILLED, dying.output())
        devices.append(self.run_device(0, "--until-release", "1", "--timeout", "90s"))
        taking_part = self.finish(service, devices)
        self.assertEqual(len(taking_part), 2 if point in SITS_OUT else 3)
        self.assertEqual(self.ids[0] in taking_part, point not in SITS_OUT)

    def test_while_enrolling_the_same_invite_works_again(self):
        for point in ("aggregator.enroll.before", "aggregator.enroll.after"):
            number = 0 if point.endswith("before") else 1
            with self.subTest(point):
                service = self.serve(crash_at=point)
                service.wait_for("serving:")
                invite = self.invite()
                self.coppice("client", "enroll", self.device(number), invite, "--timeout", "2s",
                             expect=5)
                self.assertEqual(service.wait(), KILLED)
                service = self.serve()
                self.coppice("client", "enroll", self.device(number), invite)
                service.kill()


if __name__ == "__main__":
    run_points(Killed, QUICK, AGGREGATOR + DEVICE)
