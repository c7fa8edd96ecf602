#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/setup.sh on machines that lack things. Its commands come from a PATH that holds only what
the test puts there, so nothing of this machine is installed or changed."""
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ("bash env cat grep tr find id wc paste sed df awk mkdir rm tail sh dirname sleep").split()
# Answers each header question of the preprocessor with "it is there", but for those in $ABSENT.
COMPILER = """#!/bin/sh
while read -r word rest; do
  [ "$word" = '#if' ] || continue
  read -r package
  case " $ABSENT " in *" $package "*) echo "$package" ;; esac
done
"""
# Writes down how it was called; `install` fails as often as $FAIL_FIRST says.
APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >>"$APT_CALLS"
case "$*" in
  *assume-no*) echo 'Need to get 12 MB of archives.' ;;
  *' install '*) [ "$(grep -c -- '--yes' "$APT_CALLS")" -gt "${FAIL_FIRST:-0}" ] || exit 100 ;;
esac
"""
TOOLS = ("make cmake ninja ccache pkg-config xz clang-format clang-tidy valgrind "
         "debootstrap").split()


class SetupScript(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        self.bin = self.dir / "bin"
        self.bin.mkdir()
        for name in PLAIN:
            (self.bin / name).symlink_to(shutil.which(name))
        for name in TOOLS:
            self.command(name, "#!/bin/sh\n")
        self.command("g++", COMPILER)
        (self.dir / "clang/lib").mkdir(parents=True)
        (self.dir / "clang/lib/libclang_rt.fuzzer.a").touch()
        self.command("clang++", f"#!/bin/sh\necho {self.dir / 'clang'}\n")
        self.calls = self.dir / "apt_calls"
        # LibTorch is there.
        (self.dir / "torch/lib").mkdir(parents=True)
        (self.dir / "torch/lib/libtorch_cpu.so").touch()
        (self.dir / "torch/include/ATen").mkdir(parents=True)
        (self.dir / "torch/include/ATen/ATen.h").touch()

    def command(self, name, text):
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def be_root(self):
        self.command("id", "#!/bin/sh\necho 0\n")
        self.command("apt-get", APT)
        self.command("apt-cache", "#!/bin/sh\n")

    def set_up(self, step="all", **environment):
        return subprocess.run(
            ["bash", str(ROOT / "tools/setup.sh"), step], stdin=subprocess.DEVNULL,
            env={"PATH": str(self.bin), "HOME": str(self.dir), "LIBTORCH": str(self.dir / "torch"),
                 "APT_CALLS": str(self.calls), **environment},
            capture_output=True, text=True, check=False)

    def apt_calls(self):
        return self.calls.read_text(encoding="utf-8").splitlines()

    def test_it_is_silent_where_nothing_is_missing(self):
        for step in ("program", "tests", "all"):
            run = self.set_up(step)
            self.assertEqual((0, "", ""), (run.returncode, run.stdout, run.stderr))

    def test_where_it_cannot_install_it_lists_what_is_missing_and_stops(self):
        (self.bin / "ninja").unlink()
        (self.bin / "valgrind").unlink()
        self.command("id", "#!/bin/sh\necho 1000\n")  # and there is no sudo
        run = self.set_up("all", ABSENT="libsodium-dev libgmock-dev")
        self.assertEqual(1, run.returncode, run.stderr)
        listed = [line.split()[1] for line in run.stderr.splitlines() if "  package" in line]
        self.assertEqual({"ninja-build", "valgrind", "libsodium-dev", "libgmock-dev"}, set(listed))

    def test_each_step_asks_for_its_own_part(self):
        (self.bin / "ninja").unlink()
        (self.bin / "valgrind").unlink()
        self.assertNotIn("valgrind", self.set_up("program").stderr)
        self.assertIn("ninja-build", self.set_up("program").stderr)
        self.assertNotIn("ninja-build", self.set_up("tests").stderr)

    def test_what_arm64_takes_is_asked_for_by_its_own_step_alone(self):
        for step in ("program", "tests", "all"):
            self.assertEqual(0, self.set_up(step).returncode)
        self.be_root()
        run = self.set_up("arm64", LIBTORCH="")
        self.assertEqual(0, run.returncode, run.stderr)
        self.assertTrue(self.apt_calls()[-1].endswith("g++-aarch64-linux-gnu qemu-user-static"))

    def test_a_clang_without_its_runtime_is_noticed(self):
        (self.dir / "clang/lib/libclang_rt.fuzzer.a").unlink()
        self.assertIn("libclang-rt-dev", self.set_up("tests").stderr)

    def test_it_refreshes_the_lists_says_the_size_and_installs(self):
        self.be_root()
        run = self.set_up("program", ABSENT="libsodium-dev")
        self.assertEqual(0, run.returncode, run.stderr)
        self.assertIn("Need to get 12 MB", run.stderr)
        calls = self.apt_calls()
        self.assertIn(" update", calls[0])
        self.assertTrue(calls[-1].startswith("noninteractive"), calls)
        self.assertTrue(calls[-1].endswith("--no-install-recommends libsodium-dev"), calls)

    def test_a_failed_installation_is_tried_once_more(self):
        self.be_root()
        run = self.set_up("program", ABSENT="libsodium-dev", FAIL_FIRST="1")
        self.assertEqual(0, run.returncode, run.stderr)
        self.assertEqual(2, sum("--yes" in call for call in self.apt_calls()))

    def test_an_installation_that_keeps_failing_stops_it(self):
        self.be_root()
        run = self.set_up("program", ABSENT="libsodium-dev", FAIL_FIRST="9")
        self.assertEqual(1, run.returncode)
        self.assertIn("package  libsodium-dev", run.stderr)

    def test_a_libtorch_folder_that_is_none_is_refused(self):
        run = self.set_up("program", LIBTORCH="/nowhere")
        self.assertEqual(1, run.returncode)
        self.assertIn("LIBTORCH=/nowhere has no lib/libtorch_cpu.so", run.stderr)

    def test_a_build_without_the_engine_needs_no_libtorch(self):
        run = self.set_up("program", LIBTORCH="", COPPICE_GRAPH="OFF")
        self.assertEqual((0, ""), (run.returncode, run.stderr))

    def test_headers_for_several_processes_are_asked_for_with_the_engine_alone(self):
        self.be_root()
        self.assertEqual(0, self.set_up("program", ABSENT="libgloo-dev").returncode)
        self.assertTrue(self.apt_calls()[-1].endswith("libgloo-dev"))
        run = self.set_up("program", ABSENT="libgloo-dev", LIBTORCH="", COPPICE_GRAPH="OFF")
        self.assertEqual((0, ""), (run.returncode, run.stderr))

    def test_it_can_be_skipped(self):
        run = self.set_up("all", SKIP_SETUP="1", ABSENT="libsodium-dev")
        self.assertEqual((0, ""), (run.returncode, run.stderr))

    def test_the_number_of_jobs_fits_the_cores(self):
        run = subprocess.run([ROOT / "tools/jobs.sh"], capture_output=True, text=True, check=True)
        self.assertIn(int(run.stdout), range(1, (os.cpu_count() or 1) + 1))


if __name__ == "__main__":
    unittest.main()
