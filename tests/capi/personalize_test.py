#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The C example trains, keeps its adapter, and generates; and the library shows C's names alone."""
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

TEXT = "".join(f"On day {day} the ferry carried {day * 7} sacks across the river.\n\n"
               for day in range(1, 41))


class Personalize(unittest.TestCase):
    def run_example(self, *arguments):
        return subprocess.run([os.environ["COPPICE_PERSONALIZE"], *map(str, arguments)],
                              capture_output=True, text=True, errors="replace", check=False)

    def test_it_trains_keeps_and_generates(self):
        with tempfile.TemporaryDirectory() as scratch:
            text = Path(scratch) / "notes.txt"
            text.write_text(TEXT, encoding="utf-8")
            adapter = Path(scratch) / "mine.gguf"
            run = self.run_example(os.environ["COPPICE_MODEL"], text, adapter)
            self.assertEqual(0, run.returncode, run.stderr)
            before = float(re.search(r"before: ([\d.]+)", run.stdout).group(1))
            after = float(re.search(r"after: ([\d.]+)", run.stdout).group(1))
            self.assertLess(after, 0.8 * before)
            self.assertIn("Once upon a time", run.stdout)
            self.assertTrue(adapter.exists())

    def test_it_says_what_is_wrong(self):
        run = self.run_example("/nowhere.gguf", "/nowhere.txt", "/nowhere")
        self.assertEqual(1, run.returncode)
        self.assertIn("opening the model", run.stderr)
        self.assertIn("not found", run.stderr.replace("_", " "))

    def test_the_library_has_no_other_names(self):
        listing = subprocess.run(["nm", "-D", "--defined-only", os.environ["COPPICE_LIBRARY"]],
                                 capture_output=True, text=True, check=True).stdout
        names = {line.split()[-1].split("@")[0] for line in listing.splitlines()}
        header = (Path(__file__).resolve().parents[2] / "capi/coppice.h").read_text()
        declared = set(re.findall(r"COPPICE_API [^;]*?\b(coppice_\w+)\(", header))
        self.assertGreater(len(declared), 20)
        self.assertEqual(declared, {name for name in names if name != "COPPICE_1"})


if __name__ == "__main__":
    unittest.main()
