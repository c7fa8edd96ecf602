#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/dist.sh: what packages hold, that state outlives them, and how services are locked in."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
UNITS = ("coppice-client.service", "coppice-aggregator.service")
# What a maintainer's script may call; the test's own stand-ins write down how.
STAND_IN = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'


def done(*command, **options):
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                         check=False, **options)
    if run.returncode != 0:
        raise AssertionError(f"{command}: {run.stdout}{run.stderr}")
    return run.stdout


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        done(ROOT / "tools/dist.sh", os.environ["COPPICE_BUILD"], cls.dir / "out",
             env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        [cls.deb] = (cls.dir / "out").glob("*.deb")
        [cls.tarball] = (cls.dir / "out").glob("*.tar.gz")
        done("dpkg-deb", "--raw-extract", cls.deb, cls.dir / "deb")

    def test_the_tarball_works_where_it_is_unpacked(self):
        done("tar", "-xf", self.tarball, "-C", self.dir)
        [tree] = self.dir.glob("coppice-*-linux-*")
        self.assertIn("coppice", done(tree / "bin/coppice", "--version"))
        for name in ("include/coppice.h", "lib/libcoppice.so", "share/doc/coppice/LICENSE",
                     "share/coppice/systemd/coppice-client.service"):
            self.assertTrue((tree / name).exists(), name)

    def test_the_package_holds_program_services_and_settings(self):
        listing = done("dpkg-deb", "--contents", self.deb)
        for name in ("usr/bin/coppice", "etc/default/coppice-client", *(
                f"lib/systemd/system/{unit}" for unit in UNITS)):
            self.assertIn(f"./{name}\n", listing)
        self.assertNotIn("./var/", listing)  # state is nobody's to overwrite
        owners = {line.split()[1] for line in listing.splitlines()}
        self.assertEqual({"root/root"}, owners)
        control = done("dpkg-deb", "--field", self.deb)
        self.assertRegex(control, r"Depends: libc6 \(>= 2\.\d+\)")
        machine = done("dpkg", "--print-architecture").strip()
        self.assertIn(f"Architecture: {machine}\n", control)
        self.assertTrue(self.deb.stem.endswith(f"_{machine}"))
        conffiles = (self.dir / "deb/DEBIAN/conffiles").read_text().split()
        for name in conffiles:
            self.assertTrue((self.dir / "deb" / name.lstrip("/")).is_file(), name)
        kept = {f"/etc/default/{path.name}" for path in (self.dir / "deb/etc/default").iterdir()}
        self.assertEqual(kept, set(conffiles))

    def test_the_same_build_gives_the_same_bytes(self):
        before = self.deb.read_bytes(), self.tarball.read_bytes()
        done(ROOT / "tools/dist.sh", os.environ["COPPICE_BUILD"], self.dir / "again",
             env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        again = self.dir / "again"
        self.assertTrue(before == ((again / self.deb.name).read_bytes(),
                                   (again / self.tarball.name).read_bytes()))

    def test_only_purging_touches_state_and_user(self):
        for script, word, wanted in (
                ("postinst", "configure", {"useradd", "install"}), ("prerm", "upgrade", set()),
                ("prerm", "remove", set()), ("postrm", "upgrade", set()),
                ("postrm", "remove", set()), ("postrm", "purge", {"rm", "userdel"})):
            self.assertLessEqual(self.calls_of(script, word, there=word == "purge"), wanted)
        self.assertEqual(set(), self.calls_of("postinst", "configure", there=True) - {"install"})

    def calls_of(self, script, word, there):
        """The programs that a script called; `there`: the user exists already."""
        path = self.dir / "bin"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        calls = self.dir / "calls"
        calls.write_text("")
        for name in ("useradd", "userdel", "rm", "install", "systemctl"):
            (path / name).write_text(STAND_IN)
            (path / name).chmod(0o755)
        (path / "getent").write_text(f"#!/bin/sh\nexit {0 if there else 2}\n")
        (path / "getent").chmod(0o755)
        (path / "basename").symlink_to(shutil.which("basename"))
        done("/bin/sh", self.dir / "deb/DEBIAN" / script, word,
             env={"PATH": str(path), "CALLS": str(calls)})
        return {line.split()[0] for line in calls.read_text().splitlines()} - {"systemctl"}

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_the_services_are_well_formed_and_locked_in(self):
        for unit in UNITS:
            text = (self.dir / "deb/lib/systemd/system" / unit).read_text()
            copy = self.dir / unit
            copy.write_text(text.replace("/usr/bin/coppice", shutil.which("true")))
            self.assertEqual("", done("systemd-analyze", "verify", copy).strip())
            judged = done("systemd-analyze", "security", "--offline=true", copy)
            exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", judged).group(1))
            self.assertLess(exposure, 2.0, unit)


if __name__ == "__main__":
    if not shutil.which("dpkg-deb"):
        print("setup.packages: skipped, there is no dpkg-deb")
        sys.exit(SKIPPED)
    unittest.main()
