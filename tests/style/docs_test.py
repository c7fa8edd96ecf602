#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each check of docs.py finds the violation planted for it, and nothing in a good tree."""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check  # noqa: E402  (beside this file)
import docs  # noqa: E402

SPDX = "// " + check.SPDX + "\n"
COMMANDS = SPDX + """
    {"", add_demo_command},
    {"client", add_client_run_command},
    {"client", add_client_leave_command},
    {"aggregator keys", add_aggregator_keys_rotate_command},
"""
TABLE = """# it

| command | does |
|---|---|
| `demo` | all |
| `client run`, `leave` | in and out |
| `aggregator keys rotate` | new ones |
"""
GOOD = {
    "cli/commands.cc": COMMANDS,
    "client/round.h": SPDX + "#pragma once\n",
    "tests/client/round_test.cc": SPDX + "TEST_F(RoundTest, ItEnds) {}\n",
    "Makefile": "demo: build\n",
    "README.md": TABLE,
    "docs/tour.md": "# A tour\n",
}


class Planted(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.plant(GOOD)

    def plant(self, files):
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text, encoding="utf-8")

    def violations(self, name, program=None):
        return list(docs.CHECKS[name](check.Tree(self.root), program))

    def finds(self, name, text, line=1):
        self.plant({"docs/tour.md": text})
        found = self.violations(name)
        self.assertEqual([("docs/tour.md", line)], [place[:2] for place in found], found)

    def passes(self, name, text):
        self.plant({"docs/tour.md": text})
        self.assertEqual([], self.violations(name))

    def program(self, text):
        """A program that prints `text`, whatever it is asked."""
        path = self.root / "program"
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def test_good_pages_have_no_violation(self):
        for name in docs.CHECKS:
            self.assertEqual([], self.violations(name, self.program("")), name)

    def test_a_link_to_a_file_that_is_not_there_is_found(self):
        self.finds("links", "[gone](gone.md)\n")
        self.finds("links", "fine\n![gone](gone.svg)\n", 2)

    def test_a_link_to_a_heading_that_is_not_there_is_found(self):
        self.finds("links", "# A tour\n\n[gone](#the-end)\n", 3)
        self.passes("links", "# A tour\n\n[here](#a-tour) [up](../README.md) [far](https://x.y)\n")

    def test_files_and_folders_that_are_not_there_are_found(self):
        self.finds("files", "`client/gone.h`\n")
        self.finds("files", "`gone.cc`\n")
        self.finds("files", "`client/gone/`\n")
        self.passes("files", "`client/round.h` `client/round` `round.h` `tests/FOLDER/`\n")

    def test_a_test_that_is_not_there_is_found(self):
        self.finds("tests", "`RoundTest.ItNeverEnds`\n")
        self.passes("tests", "`RoundTest.ItEnds` `README.md`\n")

    def test_a_make_target_that_is_not_there_is_found(self):
        self.finds("make", "run `make tea`\n")
        self.passes("make", "run `make demo`\n```\nmake demo\n```\n")

    def test_a_command_that_the_table_lacks_is_found(self):
        self.plant({"README.md": TABLE.replace("| `demo` | all |\n", "")})
        self.assertEqual(["the table of commands lacks `demo`"],
                         [advice for _, _, advice in self.violations("commands")])

    def test_a_command_that_only_the_table_has_is_found(self):
        self.plant({"README.md": TABLE.replace("`leave`", "`leave`, `fly`")})
        self.assertEqual([("README.md", 6)], [place[:2] for place in self.violations("commands")])

    def test_an_example_of_no_command_is_found(self):
        self.finds("commands", "# it\n```\ncoppice client fly\n```\n", 3)
        self.passes("commands", "```\ncoppice client \\\n  run here # away\n```\n")

    def test_an_option_that_help_does_not_have_is_found(self):
        self.plant({"docs/tour.md": "```\ncoppice demo --rounds 3 --wings=2 -n 4\n```\n"})
        program = self.program("  -n, --number N\n  --rounds N  Rounds")
        self.assertEqual(["coppice demo has no option --wings"],
                         [advice for _, _, advice in self.violations("options", program)])


if __name__ == "__main__":
    unittest.main()
