#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a device carries: small, its libraries linked in, no more commands than it needs."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["COPPICE_DEVICE_BUILD"])
# What runs a program of another machine; empty for this one's.
EMULATOR = os.environ["COPPICE_EMULATOR"].split()
LISTS = Path(__file__).resolve().parents[2] / "CMakeLists.txt"
MOST_BYTES = 8_000_000
# The C library's own, whatever they are called on this machine.
SYSTEM = r"(linux-vdso|ld-linux\S*|libc|libm|libdl|libpthread|librt|libresolv)\.so"
# Where their archives aren't position-independent, as Debian's, the C library takes these shared.
SHARED = r"lib(zmq|sodium)\.so"


class Device(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def output(self, *command):
        return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              check=True).stdout

    def coppice(self, program, *arguments):
        return self.output(*EMULATOR, program, *arguments)

    def stripped(self, name):
        self.output(os.environ["STRIP"], "-o", self.dir / name, BUILD / name)
        return self.dir / name

    def test_the_stripped_program_is_small(self):
        for name in ("coppice", "libcoppice.so"):
            size = self.stripped(name).stat().st_size
            print(f"{name}: {size:,} bytes stripped")
            self.assertLessEqual(size, MOST_BYTES)

    def test_only_the_c_library_is_linked_from_outside(self):
        for name, allowed in (("coppice", SYSTEM), ("libcoppice.so", f"{SYSTEM}|{SHARED}")):
            dynamic = self.output("readelf", "--wide", "--dynamic", BUILD / name)
            needed = re.findall(r"\(NEEDED\).*\[(\S+)\]", dynamic)
            self.assertTrue(needed)
            for library in needed:
                self.assertRegex(library, allowed, name)

    def test_its_commands_are_a_devices(self):
        text = self.coppice(BUILD / "coppice", "--help")
        for command in ("client", "adapter", "model", "train", "generate", "evaluate", "doctor",
                        "config"):
            self.assertRegex(text, rf"(?m)^  {command}\s")
        for command in ("aggregator", "demo", "sim", "bench", "privacy"):
            self.assertNotRegex(text, rf"(?m)^  {command}\s")
        self.assertNotIn("graph", self.coppice(BUILD / "coppice", "train", "--help"))

    def test_stripped_it_knows_its_version(self):
        version = re.search(r"project\(coppice VERSION (\S+)", LISTS.read_text(encoding="utf-8"))
        self.assertIn(version.group(1), self.coppice(self.stripped("coppice"), "--version"))

    def test_stripped_it_trains_and_generates(self):
        program, model = self.stripped("coppice"), os.environ["COPPICE_MODEL"]
        text = self.dir / "notes.txt"
        text.write_text("".join(
            f"On day {day} the ferry carried {day * 7} sacks across the river.\n\n"
            for day in range(1, 41)), encoding="utf-8")
        # Small steps: an emulator computes a thousandth as fast.
        self.coppice(program, "train", "-m", model, "--data", text, "--out", self.dir / "mine.gguf",
                     "--steps", "2", "--batch-tokens", "64", "--window", "64")
        made = self.coppice(program, "generate", "-m", model, "--adapter", self.dir / "mine.gguf",
                            "-p", "The ferry", "-n", "8", "--temp", "0")
        self.assertIn("The ferry", made)


if __name__ == "__main__":
    unittest.main()
