#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cmake/LibTorch.cmake finds a CPU build and a CUDA build alike, and says what to do without one.

LibTorch is played by two small libraries. That of the CUDA build needs a third that is not there,
as libtorch_cpu needs libcudart on a machine without CUDA.
"""
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES CXX)
find_package(Threads REQUIRED)
include({module})
add_executable(user user.cc)
target_link_libraries(user PRIVATE coppice::torch)
"""
USER = "#include <ATen/ATen.h>\nint main() { return torch_answer() + c10_answer() - 42; }\n"


class LibTorch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        (self.dir / "CMakeLists.txt").write_text(
            PROJECT.format(module=ROOT / "cmake" / "LibTorch.cmake"), encoding="utf-8")
        (self.dir / "user.cc").write_text(USER, encoding="utf-8")

    def library(self, place, name, text, *flags):
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run([os.environ.get("CXX", "g++"), "-shared", "-fPIC", "-x", "c++", "-", "-o",
                        str(place / f"lib{name}.so"), *flags], input=text, text=True, check=True)

    def libtorch(self, place, cuda=False):
        """A folder like an unpacked LibTorch, or torch/ of a wheel."""
        (place / "include" / "ATen").mkdir(parents=True)
        (place / "include" / "ATen" / "ATen.h").write_text(
            "int torch_answer();\nint c10_answer();\n", encoding="utf-8")
        (place / "include" / "torch" / "csrc" / "api" / "include").mkdir(parents=True)
        needs, link = "", []
        if cuda:
            self.library(self.dir / "cuda", "cudart_of_test", "int cuda_answer() { return 1; }")
            needs = "int cuda_answer();\nint unused() { return cuda_answer(); }\n"
            link = [f"-L{self.dir / 'cuda'}", "-Wl,--no-as-needed", "-lcudart_of_test"]
        self.library(place / "lib", "torch_cpu", needs + "int torch_answer() { return 40; }", *link)
        self.library(place / "lib", "c10", "int c10_answer() { return 2; }")
        shutil.rmtree(self.dir / "cuda", ignore_errors=True)

    def configure(self, *arguments, **environment):
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("LIBTORCH", "COPPICE_CACHE", "XDG_CACHE_HOME")}
        return subprocess.run(
            ["cmake", "-S", str(self.dir), "-B", str(self.dir / "build"), *arguments],
            env={**clean, **environment}, capture_output=True, text=True, check=False)

    def build(self):
        return subprocess.run(["cmake", "--build", str(self.dir / "build")], capture_output=True,
                              text=True, check=False)

    def assert_builds(self, configured):
        self.assertEqual(0, configured.returncode, configured.stderr)
        built = self.build()
        self.assertEqual(0, built.returncode, built.stdout + built.stderr)

    def test_a_cpu_build_links_and_runs(self):
        self.libtorch(self.dir / "torch")
        self.assert_builds(self.configure(LIBTORCH=str(self.dir / "torch")))
        self.assertEqual(0, subprocess.run([self.dir / "build" / "user"], check=False).returncode)

    def test_a_cuda_build_configures_and_links_where_there_is_no_cuda(self):
        self.libtorch(self.dir / "torch", cuda=True)
        self.assert_builds(self.configure(f"-DLIBTORCH={self.dir / 'torch'}"))

    def test_the_venv_of_the_set_up_is_found_in_the_cache_folder(self):
        self.libtorch(self.dir / "c/coppice/venv/lib/python3.11/site-packages/torch")
        self.assert_builds(self.configure(XDG_CACHE_HOME=str(self.dir / "c")))
        shutil.rmtree(self.dir / "build")
        self.assert_builds(self.configure(COPPICE_CACHE=str(self.dir / "c/coppice")))

    def test_without_libtorch_it_says_what_to_do(self):
        for arguments in (["-DLIBTORCH=/nowhere"], []):
            run = self.configure(*arguments, COPPICE_CACHE=str(self.dir / "empty"))
            self.assertNotEqual(0, run.returncode)
            for advice in ("LibTorch was not found", "tools/setup.sh", "COPPICE_GRAPH=OFF"):
                self.assertIn(advice, run.stderr)


if __name__ == "__main__":
    unittest.main()
