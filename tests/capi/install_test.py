#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` copies is found by find_package(coppice) of a project elsewhere."""
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(user LANGUAGES C)
find_package(coppice 0.1 REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE coppice::coppice)
if(TARGET coppice::static)
  add_executable(user_static user.c)
  target_link_libraries(user_static PRIVATE coppice::static)
endif()
"""
USER = """
#include <coppice.h>
#include <stdio.h>
int main(int argc, char** argv) {
  coppice_model* model = NULL;
  coppice_status status = coppice_model_open(argv[argc - 1], NULL, &model);
  printf("%s %s\\n", coppice_version(), coppice_status_name(status));
  coppice_model_close(model);
  return status;
}
"""


class Install(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def done(self, *command):
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                             check=False)
        self.assertEqual(0, run.returncode, run.stdout + run.stderr)
        return run.stdout

    def test_a_project_elsewhere_builds_with_what_was_installed(self):
        self.done("cmake", "--install", os.environ["COPPICE_BUILD"], "--prefix", self.dir / "first",
                  "--component", "development", "--strip")
        # Packages move: nothing may know where it was installed first.
        shutil.move(self.dir / "first", self.dir / "prefix")
        self.assertTrue((self.dir / "prefix/include/coppice.h").is_file())
        source = self.dir / "user"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")
        (source / "user.c").write_text(USER, encoding="utf-8")
        self.done("cmake", "-S", source, "-B", self.dir / "build",
                  f"-DCMAKE_PREFIX_PATH={self.dir / 'prefix'}")
        self.done("cmake", "--build", self.dir / "build")
        model = os.environ["COPPICE_MODEL"]
        programs = [path for path in (self.dir / "build").glob("user*") if os.access(path, os.X_OK)]
        archive = list((self.dir / "prefix").rglob("libcoppice.a"))
        self.assertEqual(2 if archive else 1, len(programs))
        for program in programs:
            self.assertEqual("ok", self.done(program, model).split()[1])


if __name__ == "__main__":
    unittest.main()
