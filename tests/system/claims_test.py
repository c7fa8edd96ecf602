# SPDX-License-Identifier: Apache-2.0
"""What a device says it has seen of a fleet with noise, and nothing proves."""

import json
import unittest

from noised import NoisedCase

UNKNOWN = "knows nothing of what was spent"


class AClaimOfLaterRounds(NoisedCase):
    """Nothing proves it. It is charged or refused, and ends nothing."""

    devices = 4

    def more_settings(self):
        return {"round.min_train_nodes": 3, "round.min_available_nodes": 3}

    def claim(self, number, highest_round):
        """The device says from now on that it has seen this round."""
        path = self.device(number) / "marks.json"
        marks = json.loads(path.read_text()) if path.exists() else {
            "plan": "0" * 64, "seal_used": False, "upload": "0" * 64, "upload_bytes": 0,
            "acknowledged": False, "min_survivors": 0, "cumulative_epsilon": 0, "epoch": 0,
            "last_round_ms": 0}
        path.write_text(json.dumps({**marks, "highest_round": highest_round}))

    def say(self, number, highest_round, answer):
        self.claim(number, highest_round)
        service = self.serve()
        device = self.run_device(number)
        service.wait_for(answer)
        self.assertIsNone(service.child.poll())
        device.kill()
        service.kill()

    def test_that_no_fleet_has_had_is_refused(self):
        self.enroll()
        self.run_round(0, 1, 2)
        paid = self.spends()
        self.claim(3, 10**9)
        service = self.serve("--rounds", "1", "--timeout", "60s", "--leave-when-fetched")
        liar = self.run_device(3)
        service.wait_for("claims to have seen round 1000000000")
        liar.wait_for("refused")
        devices = [self.run_device(number, "--until-release", "2", "--timeout", "60s")
                   for number in range(3)]
        for process in (*devices, service):
            self.assertEqual(process.wait(), 0, process.output())
        self.assertEqual([row[0] for row in self.spends()], [1, 2])
        self.assertGreater(self.spends()[1][3], paid[0][3])

    def test_that_may_be_true_is_charged(self):
        self.enroll()
        self.run_round(0, 1, 2)
        self.say(3, 500, "rounds 2 to 500 can't be proven unspent")
        self.say(3, 1_000_000, "rounds 501 to 1000000 can't be proven unspent")
        spends = self.spends()
        self.assertEqual([row[0] for row in spends], [1, 500, 1_000_000])
        self.assertLess(spends[0][3], spends[1][3])
        self.assertLess(spends[1][3], spends[2][3])
        self.say(3, 12_000_000, "claims to have seen round 12000000")
        service = self.serve("--rounds", "1", "--timeout", "60s")
        for number in range(3):
            self.run_device(number)
        self.assertEqual(service.wait(), 7, service.output())  # the budget is spent

    def test_where_nothing_is_known_holds_rounds_until_it_is_revoked(self):
        self.enroll()
        self.say(0, 5, UNKNOWN)
        service = self.serve()  # a restart forgets nothing
        devices = [self.run_device(number) for number in (1, 2, 3)]
        service.wait_for(UNKNOWN)
        self.assertEqual(self.spends(), [])
        self.coppice("aggregator", "clients", "revoke", self.home / "fleet", self.ids[0])
        for device in devices:
            device.wait_for("holds release 1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
