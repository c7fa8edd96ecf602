#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The .deb's life in a bare Debian: installed, a fleet enrolled and trained with it, upgraded while
the service runs, removed, installed again, purged. Keys, state and settings outlive all but that.
"""
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from bare_root import BareRoot, Unavailable

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
STATE = Path("/var/lib/coppice")
UNITS = ("coppice-client.service", "coppice-aggregator.service")
# The service's own folder, and those of two other devices.
DEVICES = (STATE / "client", STATE / "second", STATE / "third")
OWNERS_LINE = "COPPICE_RESOURCES_THREADS=1\n"
NEW_LINE = "# A line that only the newer package has.\n"


def done(*command, **options):
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                         check=False, **options)
    if run.returncode != 0:
        raise AssertionError(f"{command}: {run.stdout}{run.stderr}")
    return run.stdout


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class PackageLife(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp(prefix="coppice-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        try:
            cls.root = BareRoot(cls.dir / "root")
        except Unavailable as reason:
            raise unittest.SkipTest(str(reason)) from None
        done(ROOT / "tools/dist.sh", os.environ["COPPICE_DIST_BUILD"], cls.dir / "out")
        [cls.deb] = (cls.dir / "out").glob("*.deb")

    def setUp(self):
        self.running = []
        self.addCleanup(lambda: [each.kill() for each in self.running])

    def in_root(self, path):
        return self.dir / "root" / str(path).lstrip("/")

    def newer_package(self):
        """The same files under a later version, but for a line more in one file of settings."""
        tree = self.dir / "newer"
        done("dpkg-deb", "--raw-extract", self.deb, tree)
        control = tree / "DEBIAN/control"
        self.version = done("dpkg-deb", "--field", self.deb, "Version").strip() + "+later"
        text = control.read_text(encoding="utf-8")
        lines = [f"Version: {self.version}" if line.startswith("Version:") else line
                 for line in text.splitlines()]
        control.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with open(tree / "etc/default/coppice-aggregator", "a", encoding="utf-8") as file:
            file.write(NEW_LINE)
        done("dpkg-deb", "--root-owner-group", "--build", tree, self.dir / "newer.deb")
        return self.dir / "newer.deb"

    def install(self, package):
        shutil.copy(package, self.in_root("/package.deb"))
        self.root.run("dpkg", "--install", "/package.deb")

    def state(self, *folders):
        """Everything below, with owner, mode and contents."""
        found = {}
        for folder in folders:
            for path in (self.in_root(folder), *self.in_root(folder).rglob("*")):
                about = path.lstat()
                contents = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                found[path] = (about.st_uid, about.st_gid, about.st_mode, contents)
        self.assertTrue(found)
        return found

    def coppice(self, *arguments, expect=0):
        """As the package's own user, with the JSON document that the command prints."""
        said = self.root.run("/usr/bin/coppice", *arguments, "--format", "json", user="coppice",
                             expect=expect)
        return json.loads(said) if expect == 0 else None

    def start(self, running):
        self.running.append(running)
        return running

    def serve(self):
        service = self.start(self.root.start_service(self.dir / "aggregator.log", UNITS[1]))
        service.wait_for("serving:")
        return service

    def releases(self):
        listed = self.coppice("aggregator", "release", "list", STATE / "aggregator")["releases"]
        return max(each["version"] for each in listed)

    def train_until(self, version):
        """All three devices, the first as the unit says, until they hold this release."""
        flags = ("--until-release", version, "--timeout", "300s")
        service = self.root.start_service(self.dir / "client.log", UNITS[0], *flags)
        devices = [self.start(service)]
        for folder in DEVICES[1:]:
            devices.append(self.start(self.root.start(
                self.dir / f"{folder.name}.log", "/usr/bin/coppice", "client", "run", folder,
                *flags, user="coppice")))
        for device in devices:
            self.assertEqual(0, device.wait(300), device.output())
        self.assertGreaterEqual(self.releases(), version)

    # --- The life, in order ---------------------------------------------------------------------

    def check_installed(self):
        self.assertIn("coppice", self.root.run("/usr/bin/coppice", "--version"))
        self.assertRegex(self.root.run("getent", "passwd", "coppice"),
                         r"^coppice:x:\d+:\d+:coppice:/var/lib/coppice:/usr/sbin/nologin")
        self.assertEqual("coppice coppice 700\n", self.root.run("stat", "-c", "%U %G %a", STATE))
        units = [f"/lib/systemd/system/{unit}" for unit in UNITS]
        self.assertEqual("", self.root.run("systemd-analyze", "verify", *units).strip())
        self.root.run("systemctl", "enable", *UNITS)

    def make_a_fleet(self):
        """Default settings but for addresses; three devices, enrolled by the running service."""
        shutil.copy(os.environ["COPPICE_MODEL"], self.in_root(STATE / "base.gguf"))
        text = self.in_root(STATE / "text")
        text.mkdir()
        (text / "notes.txt").write_text("".join(
            f"On day {day} the ferry carried {day * 7} sacks across the river.\n\n"
            for day in range(1, 101)), encoding="utf-8")
        self.root.run("chown", "-R", "coppice:coppice", STATE)
        names = ("control", "bulk", "enroll")
        self.coppice("aggregator", "init", STATE / "aggregator", "--model", STATE / "base.gguf",
                     "--rank", "2", *(f"--set=network.{name}=tcp://127.0.0.1:{port}"
                                      for name, port in zip(names, free_ports(3))))
        service = self.serve()
        for folder in DEVICES:
            self.coppice("client", "init", folder, "--model", STATE / "base.gguf", "--data",
                         STATE / "text", "--set=eligibility.max_load_per_core=1000",
                         "--set=eligibility.max_temperature=150")
            [invite] = self.coppice("aggregator", "invite", STATE / "aggregator")["invites"]
            self.coppice("client", "enroll", folder, invite)
        return service

    def change_settings(self):
        with open(self.in_root("/etc/default/coppice-client"), "a", encoding="utf-8") as file:
            file.write(OWNERS_LINE)

    def upgrade(self, service):
        """While the service runs: only a service manager restarts it."""
        keeps = (*DEVICES, STATE / "aggregator/keys", STATE / "aggregator/aggregator.toml")
        before = self.state(*keeps)
        self.install(self.newer_package())
        self.assertEqual(self.version, self.root.run(
            "dpkg-query", "--show", "--showformat=${Version}", "coppice"))
        self.assertEqual(before, self.state(*keeps))
        self.check_settings()
        self.assertIn("enabled", self.root.run("systemctl", "is-enabled", *UNITS))
        self.assertIsNone(service.child.poll(), service.output())
        self.assertEqual(0, service.stop(), service.output())

    def check_settings(self):
        settings = self.in_root("/etc/default")
        self.assertTrue((settings / "coppice-client").read_text().endswith(OWNERS_LINE))
        self.assertTrue((settings / "coppice-aggregator").read_text().endswith(NEW_LINE))

    def remove_and_install_again(self):
        before = self.state(STATE)
        self.root.run("dpkg", "--remove", "coppice")
        self.assertFalse(self.in_root("/usr/bin/coppice").exists())
        self.assertFalse(self.in_root(f"/lib/systemd/system/{UNITS[0]}").exists())
        wants = self.in_root("/etc/systemd/system/multi-user.target.wants")
        self.assertEqual([], list(wants.glob("coppice*")))
        self.assertEqual(before, self.state(STATE))
        self.check_settings()
        self.install(self.dir / "newer.deb")
        self.assertEqual(before, self.state(STATE))
        self.check_settings()

    def purge(self):
        self.root.run("dpkg", "--purge", "coppice")
        self.assertFalse(self.in_root(STATE).exists())
        self.root.run("getent", "passwd", "coppice", expect=2)
        left = [path for path in self.in_root("/").rglob("*coppice*")
                if not path.is_relative_to(self.in_root("/var/lib/dpkg"))]
        self.assertEqual([], left)

    def test_state_outlives_all_but_a_purge(self):
        self.install(self.deb)
        self.check_installed()
        self.change_settings()
        service = self.make_a_fleet()
        self.train_until(1)
        self.upgrade(service)
        release = self.releases()
        service = self.serve()
        self.train_until(release + 1)
        self.assertEqual(0, service.stop(), service.output())
        release = self.releases()
        self.remove_and_install_again()
        self.assertEqual(release, self.releases())
        self.assertTrue(self.coppice("client", "status", DEVICES[0])["enrolled"])
        self.purge()


if __name__ == "__main__":
    RESULT = unittest.main(verbosity=2, exit=False).result
    sys.exit(SKIPPED if RESULT.skipped else not RESULT.wasSuccessful())
