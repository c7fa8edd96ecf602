#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three devices that are programs in C take part in a round under secure aggregation."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
import fleet  # noqa: E402  (beside the system tests)


class ARoundOfProgramsInC(fleet.FleetTest):
    devices = 3
    secure = True

    def test_they_enrol_train_and_hold_the_release(self):
        self.serve()
        text = self.home / "data" / "notes.txt"
        text.write_text("".join(
            f"On day {day} the ferry carried {day * 7} sacks across the river.\n\n"
            for day in range(1, 41)), encoding="utf-8")
        children = []
        for number in range(3):
            children.append(subprocess.Popen(
                [os.environ["COPPICE_PERSONALIZE"], os.environ["COPPICE_MODEL"], str(text),
                 str(self.home / f"mine{number}.gguf"), str(self.home / f"c_device{number}"),
                 self.invite(), "eligibility.max_load_per_core=1000",
                 "eligibility.max_temperature=150", "eligibility.min_train_bytes=500B",
                 "personal.max_steps=4"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"))
            self.addCleanup(children[-1].kill)
        for child in children:
            output = child.communicate(timeout=480)[0]
            self.assertEqual(0, child.returncode, output)
            self.assertIn("enrolled", output)
            self.assertIn("holds release 1", output)
            self.assertRegex(output, "serves with (an adapter|the base)")


if __name__ == "__main__":
    unittest.main()
