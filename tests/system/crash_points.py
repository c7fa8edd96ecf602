# SPDX-License-Identifier: Apache-2.0
"""A test for each point at which a process is killed (base/file.h, crash_point())."""

import sys
import unittest


def add_points(case, points):
    for point in points:
        side, _, rest = point.partition(".")
        who, run = (("the_aggregator", case.aggregator_dies_at) if side == "aggregator" else
                    ("a_device", case.device_dies_at))
        name = f"test_{who}_at_" + rest.replace(".", "_").replace(":", "_")
        setattr(case, name, lambda self, run=run, point=point: run(self, point))


def run_points(case, quick, every):
    """The suite: quick points, or every one with --every."""
    points = quick
    if "--every" in sys.argv:
        sys.argv.remove("--every")
        points = every
    add_points(case, points)
    unittest.main(verbosity=2)
