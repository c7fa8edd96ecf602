# SPDX-License-Identifier: Apache-2.0
"""Fleets of real processes over the loopback, and what an operator does to them."""

import shutil
import time
import unittest

from fleet import MODEL, FleetTest, Process


class AFleet(FleetTest):
    def test_of_three_devices_finishes_two_rounds(self):
        service = self.serve("--rounds", "2", "--timeout", "60s", "--leave-when-fetched")
        self.enroll_all()
        devices = [self.run_device(i, "--until-release", "2", "--timeout", "60s") for i in range(3)]
        for device in devices:
            self.assertEqual(device.wait(), 0)
        self.assertEqual(service.wait(), 0)
        for number in (1, 2):
            self.assertEqual(len(self.check_release(number, number)), 3)
        self.check_devices()

    def test_refuses_a_second_service_and_a_port_in_use(self):
        self.serve()
        same = Process(self.home / "second.log", ["aggregator", "run", self.home / "fleet"])
        self.processes.append(same)
        self.assertNotEqual(same.wait(), 0)
        self.assertIn("another coppice process uses", same.output())
        other = self.home / "other"
        self.coppice("aggregator", "init", other, "--model", MODEL, "--rank", "1",
                     "--targets", "q_proj",
                     f"--set=network.control=tcp://127.0.0.1:{self.ports[0]}")
        taken = Process(self.home / "third.log", ["aggregator", "run", other])
        self.processes.append(taken)
        self.assertEqual(taken.wait(), 5)
        self.assertIn("port", taken.output())

    def test_serves_nobody_who_is_not_enrolled(self):
        self.serve()
        stranger = self.run_device(0, "--timeout", "3s")
        self.assertEqual(stranger.wait(), 2)
        self.assertIn("client enroll", stranger.output())
        # With a member's papers and keys of its own: the handshake is refused.
        self.coppice("client", "enroll", self.device(1), self.invite())
        shutil.copy(self.device(1) / "fleet.json", self.device(2) / "fleet.json")
        self.assertEqual(self.run_device(2, "--timeout", "3s").wait(), 5)
        self.assertEqual(self.coppice("aggregator", "status", self.home / "fleet")["connected"], 0)

    def test_burns_a_token_once(self):
        self.serve()
        invite = self.invite()
        self.coppice("client", "enroll", self.device(0), invite)
        self.coppice("client", "enroll", self.device(0), invite)  # a retry of the same device
        self.coppice("client", "enroll", self.device(1), invite, expect=4)


class ARunningFleetCase(FleetTest):
    settings = {"round.pause": "300ms", "round.min_available_nodes": 2, "round.min_train_nodes": 2}

    def setUp(self):
        super().setUp()
        self.service = self.serve()
        self.enroll_all()
        self.running = [self.run_device(number) for number in range(3)]
        for device in self.running:
            device.wait_for("holds release 1")

    def newest(self):
        return self.query("SELECT max(version) FROM releases")[0][0]

    def wait_for_release(self, version):
        for device in self.running:
            if device.child.poll() is None:
                device.wait_for(f"holds release {version}\n")


class ARunningFleet(ARunningFleetCase):
    def test_refuses_a_revoked_device_at_once(self):
        self.coppice("aggregator", "clients", "revoke", self.home / "fleet", self.ids[0])
        self.running[0].wait_for("refused")
        self.running.pop(0)
        after = self.newest() + 2
        self.wait_for_release(after)
        [(round_id,)] = self.query("SELECT round FROM rounds WHERE version = ?", after)
        self.assertEqual(sorted(self.counted(round_id)), sorted(self.ids[1:]))

    def test_goes_on_through_a_rotation_of_keys(self):
        self.coppice("aggregator", "keys", "rotate", self.home / "fleet")
        self.service.wait_for("key set 2 is in use")
        for device in self.running:
            device.wait_for("key set is 2 now")
        self.wait_for_release(self.newest() + 2)
        self.check_devices()

    def test_starts_no_round_while_paused(self):
        self.coppice("aggregator", "pause", self.home / "fleet")
        self.service.wait_for("paused")
        before = self.newest() + 1  # one may have been under way
        with self.assertRaises(AssertionError):
            self.running[0].wait_for(f"holds release {before + 1}\n", seconds=3)
        self.coppice("aggregator", "resume", self.home / "fleet")
        self.wait_for_release(before + 1)

    def test_asks_no_device_whose_owner_paused_it(self):
        self.coppice("client", "pause", self.device(0))
        self.service.wait_for("round 2")
        after = self.newest() + 4
        self.wait_for_release(after)
        [(round_id,)] = self.query("SELECT round FROM rounds WHERE version = ?", after)
        self.assertNotIn(self.ids[0], self.counted(round_id))

    def test_goes_back_to_an_earlier_release_under_a_higher_number(self):
        self.coppice("aggregator", "pause", self.home / "fleet")
        self.service.wait_for("paused")
        self.wait_for_release(self.newest())
        before = self.newest()
        self.coppice("aggregator", "release", "revert", self.home / "fleet", "0")
        self.wait_for_release(before + 1)
        rows = self.query("SELECT adapter FROM releases WHERE version IN (0, ?)", before + 1)
        self.assertEqual(rows[0], rows[1])

    def test_forgets_what_devices_kept_before_a_revert_on_those_too_that_were_away(self):
        kept = [self.device(number) / "personal" / "kept" for number in range(3)]
        self.running[2].kill()
        for path in kept:
            path.write_bytes(b"of rounds before")
        self.wait_for_release(self.newest() + 1)
        self.assertTrue(kept[0].exists())
        self.coppice("aggregator", "pause", self.home / "fleet")
        self.service.wait_for("paused")
        self.coppice("aggregator", "release", "revert", self.home / "fleet", "0")
        self.service.wait_for("has the content of release 0")
        reverted = self.newest()
        self.wait_for_release(reverted)
        self.coppice("aggregator", "resume", self.home / "fleet")
        self.wait_for_release(reverted + 1)
        self.assertEqual([path.exists() for path in kept], [False, False, True])
        away = self.run_device(2)
        away.wait_for("holds release")
        self.assertFalse(kept[2].exists())


class AFleetThatCameBack(ARunningFleetCase):
    def test_is_not_served_by_an_older_key_set(self):
        # Paused, so that no release is signed by the key set that is lost afterwards.
        self.coppice("aggregator", "pause", self.home / "fleet")
        self.service.wait_for("paused")
        time.sleep(2)
        self.coppice("aggregator", "keys", "rotate", self.home / "fleet")
        for device in self.running:
            device.wait_for("key set is 2 now")
        self.kill_all()
        shutil.rmtree(self.home / "fleet" / "keys" / "2")
        self.coppice("aggregator", "resume", self.home / "fleet")
        self.serve()
        before = self.newest()
        device = self.run_device(0, "--timeout", "4s")
        self.assertEqual(device.wait(), 5)
        self.assertNotIn("training", device.output())
        self.assertEqual(self.newest(), before)

    def test_follows_no_plan_that_another_key_signed(self):
        self.kill_all()
        other = self.home / "other"
        self.coppice("aggregator", "init", other, "--model", MODEL, "--rank", "1",
                     "--targets", "q_proj")
        shutil.copy(other / "keys" / "1" / "signing.key",
                    self.home / "fleet" / "keys" / "1" / "signing.key")
        before = self.newest()
        forged = Process(self.home / "forged.log", ["aggregator", "run", self.home / "fleet"])
        self.processes.append(forged)
        device = self.run_device(0, "--timeout", "4s")
        self.assertEqual(device.wait(), 5)
        self.assertNotIn("training", device.output())
        self.assertEqual(self.newest(), before)

    def test_restored_from_a_backup_numbers_go_only_up(self):
        self.kill_all()
        shutil.copytree(self.home / "fleet", self.home / "backup")
        self.service = self.serve()
        self.running = [self.run_device(number) for number in range(3)]
        seen = self.newest() + 2
        self.wait_for_release(seen)
        self.kill_all()
        seen = self.newest()
        [(lost,)] = self.query("SELECT max(round) FROM rounds")
        shutil.rmtree(self.home / "fleet")
        shutil.copytree(self.home / "backup", self.home / "fleet")
        self.assertLess(self.newest(), seen)
        self.serve()
        self.running = [self.run_device(number) for number in range(3)]
        self.wait_for_release(seen + 2)
        self.check_devices(after=lost)


if __name__ == "__main__":
    unittest.main(verbosity=2)
