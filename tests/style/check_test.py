#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each check of check.py finds the violation planted for it, and nothing in a good tree."""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check  # noqa: E402  (beside this file)

SPDX = "// " + check.SPDX + "\n"
GOOD = {
    "CMakeLists.txt": "# " + check.SPDX + "\nadd_subdirectory(base)\n",
    "base/CMakeLists.txt": "# " + check.SPDX + "\ncoppice_library(base SOURCES bytes.cc)\n",
    "base/bytes.h": SPDX + "#pragma once\n\n#include <vector>\n",
    "base/bytes.cc": SPDX + '#include "base/bytes.h"\n\nint two() { return 2; }\n',
    "client/agent.h": SPDX + '#pragma once\n\n#include "base/bytes.h"\n',
    ".clang-format": "BasedOnStyle: Google\n",
}


def body(lines, head="void f(int a) {", tail="}"):
    """A function of `lines` lines in all."""
    return SPDX + head + "\n" + "  g();\n" * (lines - 2) + tail + "\n"


class Planted(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.plant(GOOD)

    def plant(self, files):
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text, encoding="utf-8")

    def violations(self, name):
        return list(check.CHECKS[name](check.Tree(self.root)))

    def finds(self, name, files, line=1):
        self.plant(files)
        found = self.violations(name)
        self.assertEqual([(list(files)[0], line)], [place[:2] for place in found], found)

    def passes(self, name, files):
        self.plant(files)
        self.assertEqual([], self.violations(name))

    def test_a_good_tree_has_no_violation(self):
        for name in check.CHECKS:
            if name != "format" or shutil.which("clang-format"):
                self.assertEqual([], self.violations(name), name)

    def test_an_include_against_the_arrows_is_found(self):
        self.finds("includes", {"base/up.h": SPDX + '#include "client/agent.h"\n'}, 2)

    def test_client_and_aggregator_never_include_each_other(self):
        self.finds("includes", {"aggregator/x.h": SPDX + '#include "client/agent.h"\n'}, 2)

    def test_an_indirect_arrow_is_allowed(self):
        self.passes("includes", {"sim/x.h": SPDX + '#include "base/bytes.h"\n'})

    def test_tests_are_not_included(self):
        self.finds("includes", {"client/x.h": SPDX + '#include "tests/t.h"\n', "tests/t.h": SPDX},
                   2)

    def test_an_include_that_is_not_from_the_root_is_found(self):
        self.finds("includes", {"base/near.h": SPDX + '#include "bytes.h"\n'}, 2)

    def test_a_folder_outside_the_law_is_found(self):
        self.finds("includes", {"new_folder/x.h": SPDX})

    def test_a_module_is_included_by_itself_alone(self):
        module = {"model/graph/linear.h": SPDX}
        inside = {"model/graph/b.h": SPDX + '#include "model/graph/linear.h"\n'}
        self.passes("includes", {**module, **inside})
        self.finds("includes", {"model/a.h": SPDX + '#include "model/graph/linear.h"\n'}, 2)

    def test_a_link_against_the_arrows_is_found(self):
        self.finds("includes", {"base/CMakeLists.txt": "coppice_library(base\n coppice_client)\n"},
                   2)

    def test_a_library_outside_its_home_is_found(self):
        for header in ("sqlite3.h", "zmq.hpp", "ATen/ATen.h", "nlohmann/json.hpp", "sodium.h"):
            self.finds("homes", {"client/agent.h": SPDX + f"#include <{header}>\n"}, 2)

    def test_a_library_in_its_home_and_in_its_tests_is_allowed(self):
        text = SPDX + "#include <sqlite3.h>\n"
        self.passes("homes", {"aggregator/store.cc": text, "tests/aggregator/store_test.cc": text})

    def test_a_library_without_a_home_is_found(self):
        self.finds("homes", {"base/bytes.h": SPDX + "#include <boost/asio.hpp>\n"}, 2)

    def test_a_precompiled_header_outside_its_home_is_found(self):
        self.finds("homes", {"cli/CMakeLists.txt": "target_precompile_headers(x <sodium.h>)\n"})

    def test_a_long_file_is_found(self):
        self.passes("file_length", {"base/long.h": "\n" * 500})
        self.finds("file_length", {"base/long.h": "\n" * 501}, 501)

    def test_a_long_line_is_found(self):
        self.passes("line_length", {"base/wide.h": "/" * 100 + "\n"})
        self.finds("line_length", {"base/wide.h": "/" * 101 + "\n"})

    def test_a_long_function_is_found(self):
        for head in ("void f(int a) {", "TEST(Suite, Name) {", "A::A(int a) : a_{a}, b_(a) {",
                     "auto f(std::vector<int> a) const -> int {", "bool operator()(int a) {",
                     "template <class T> requires(std::is_same_v<T, int>) void f(T a) {"):
            self.passes("function_length", {"base/f.cc": body(69, head)})
            self.finds("function_length", {"base/f.cc": body(70, head)}, 2)

    def test_a_long_function_in_a_namespace_and_a_class_is_found(self):
        self.finds("function_length", {"base/f.cc": (
            SPDX + "namespace a {\nclass B final : public C<D> {\n public:\n  int f(int x) {\n"
            + "    if (x) {\n    }\n" * 34 + "  }\n};\n}\n")}, 5)

    def test_a_long_table_and_a_long_class_are_allowed(self):
        rows = "  {1, f(2)},\n" * 90
        methods = "  int f() { return '{' + 1'000; }  // }\n" * 90
        self.passes("function_length", {
            "base/table.cc": SPDX + "constexpr std::array kTable = {\n" + rows + "};\n",
            "base/class.cc": SPDX + "struct S {\n" + methods + "};\n",
            "base/raw.cc": SPDX + 'const char* k = R"(\n' + "void f() {\n" * 90 + ')";\n'})

    def test_a_file_without_a_licence_is_found(self):
        self.finds("spdx", {"base/bytes.h": "#pragma once\n"})

    def test_a_header_without_a_guard_is_found(self):
        self.finds("headers", {"base/bytes.h": SPDX})

    def test_using_a_namespace_in_a_header_is_found(self):
        self.finds("headers", {"base/bytes.h": "#pragma once\nusing namespace std;\n"}, 2)

    def test_a_source_that_nobody_builds_is_found(self):
        self.finds("sources", {"base/lost.cc": SPDX})

    def test_a_test_that_nobody_builds_is_found(self):
        self.finds("sources", {"tests/base/lost_test.cc": SPDX, "tests/CMakeLists.txt": "base",
                               "tests/base/CMakeLists.txt": "coppice_test(base SOURCES a.cc)"})

    def test_a_comment_in_a_list_builds_nothing(self):
        self.finds("sources", {"base/lost.cc": SPDX, "base/CMakeLists.txt": "bytes.cc # lost.cc\n"})

    def test_a_source_named_by_a_loop_is_built(self):
        lists = "foreach(x plan invite)\n  add_executable(fuzz_${x} ${x}_fuzz.cc)\nendforeach()\n"
        self.passes("sources", {"tests/fuzz/plan_fuzz.cc": SPDX, "tests/CMakeLists.txt": "fuzz",
                                "tests/fuzz/CMakeLists.txt": lists})
        self.finds("sources", {"tests/fuzz/other_fuzz.cc": SPDX})

    def test_a_folder_of_tests_that_is_not_added_is_found(self):
        self.finds("sources", {"tests/lost/CMakeLists.txt": "", "tests/CMakeLists.txt": "base"})

    def test_a_marker_is_found(self):
        for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X"):
            self.finds("words", {"base/bytes.h": SPDX + f"// {word}: later\n"}, 2)

    def test_a_folder_named_after_nothing_is_found(self):
        self.finds("words", {"base/util/x.h": SPDX})

    def test_a_path_of_one_machine_is_found(self):
        self.finds("words", {"docs/tour.md": "see\n/ho" + "me/ann/coppice\n"}, 2)

    def test_a_library_that_prints_or_exits_is_found(self):
        for text in ("std::cout << 1;", "exit(1);", "std::abort();", "fprintf(stderr, x);"):
            self.finds("quiet", {"client/agent.h": SPDX + text + "\n"}, 2)

    def test_a_program_prints_and_a_comment_may_say_so(self):
        self.passes("quiet", {"cli/main.cc": "std::cout << 1;\n",
                              "base/a.h": '// exit(1)\nf("exit(");\n'})

    def test_bad_format_is_found(self):
        if not shutil.which("clang-format"):
            self.skipTest("clang-format is not installed")
        self.finds("format", {"base/bytes.cc": SPDX + "int   two( ) { return 2; }\n"}, 2)


if __name__ == "__main__":
    unittest.main()
