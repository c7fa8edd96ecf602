#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The style of this repository, as far as a program can check it; each check is a ctest.

    tests/style/check.py NAME... [--root DIR]     (NAME: see CHECKS at the end, or `all`)

Prints one line a violation, FILE:LINE: what to do. Exit code 0: none; 1: some; 77: a tool is
missing. check_test.py plants a violation of each and sees it found.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77

# --- The laws ------------------------------------------------------------------------------------

# Who may include whom: a folder includes itself and everything that its targets may include.
ARROWS = {
    "base": [],
    "config": ["base"],
    "formats": ["base"],
    "crypto": ["base"],
    "privacy": ["base"],
    "adapters": ["formats"],
    "protocol": ["crypto", "privacy", "adapters"],
    "model": ["adapters"],
    "client": ["protocol", "model", "config"],
    "aggregator": ["protocol", "config"],  # neither model nor client
    "sim": ["client", "aggregator"],
    "capi": ["client"],
    "cli": ["sim", "capi"],
}
# Modules that the program opens on first use: nothing outside includes them.
MODULES = ["model/graph", "sim/cluster"]
# Free to include every folder; nothing includes them but themselves.
FREE = ["tests", "bench", "examples"]

# The one home of each third-party library, by how its headers begin. Tests live where they test.
HOMES = {
    "toml++/": ["config/"],
    "nlohmann/": ["formats/"],
    "spdlog/": ["base/log."],
    "sodium": ["crypto/"],
    "zmq": ["protocol/"],
    "cereal/": ["protocol/"],
    "pcre2": ["model/"],
    "sqlite3": ["aggregator/"],
    "Eigen/": ["adapters/factored_svd", "aggregator/"],
    "unsupported/Eigen/": ["aggregator/"],
    "eigen3/": ["aggregator/"],
    "CLI/": ["cli/"],
    "ATen/": ["model/graph/", "sim/cluster/"],
    "c10/": ["model/graph/", "sim/cluster/"],
    "gloo/": ["sim/cluster/"],
    "torch/": ["model/graph/", "sim/cluster/"],
    "gtest/": ["tests/"],
    "gmock/": ["tests/"],
    "benchmark/": ["bench/"],
}
# Of the system or the compiler: no library in the sense above.
SYSTEM = re.compile(
    r"(sys|net|netinet|arpa|linux|sanitizer|valgrind)/[\w./]+$"
    r"|(cpuid|dirent|dlfcn|errno|fcntl|fenv|ifaddrs|immintrin|arm_neon|malloc|netdb|poll|pthread"
    r"|pwd|sched|signal|spawn|stddef|stdint|stdio|stdlib|string|syslog|termios|time|unistd)\.h$"
    r"|[a-z_0-9]+$")  # the standard library: <vector>

FILE_LINES = 500
FUNCTION_LINES = 70  # fewer than this
LINE_CHARACTERS = 100

SPDX = "SPDX-License-Identifier: Apache-2.0"
MARKERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.~}\-/])/(work|root|home|opt)/\w")
DRAWERS = {"util", "utils", "common", "misc", "helpers"}  # a folder is named by what it holds
PRINTS = re.compile(r"\bstd::(cout|cerr|clog|exit|abort|terminate|quick_exit)\b"
                    r"|(?<![\w.>:])(printf|puts|putchar|exit|_exit|abort)\s*\("
                    r"|\bfprintf\s*\(\s*std(out|err)\b")
# base/log writes the log; a failed COPPICE_CHECK (base/result.cc) stops on a bug of our own.
MAY_PRINT = ("cli/", "base/log.", "base/result.cc")

TEXT = {".h", ".cc", ".md", ".py", ".sh", ".cmake", ".toml", ".json", ".txt", ".yml", ".yaml"}
SCRIPTS = {"Makefile", "CMakeLists.txt", ".ci/run"}


# --- The tree ------------------------------------------------------------------------------------

class Tree:
    """The files of a checkout, as paths from its root; whatever git ignores is not there."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root, capture_output=True, text=True, check=False) if (
                self.root / ".git").exists() else None
        if listing is not None and listing.returncode == 0:
            names = [name for name in listing.stdout.split("\0") if name]
        else:
            names = [str(path.relative_to(self.root)) for path in self.root.rglob("*")]
            names = [name for name in names if not name.startswith(("build/", ".git/"))]
        self.files = sorted(name for name in set(names) if (self.root / name).is_file())

    def read(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def lines(self, name):
        return self.read(name).splitlines()

    def code(self):
        return [name for name in self.files if name.endswith((".h", ".cc"))]

    def cmake(self):
        return [name for name in self.files
                if name.endswith(".cmake") or Path(name).name == "CMakeLists.txt"]

    def written(self):
        """Code and scripts: whatever people write here that is no prose and no data."""
        return [name for name in self.files
                if name.endswith((".h", ".cc", ".py", ".sh", ".cmake"))
                or name in SCRIPTS or Path(name).name == "CMakeLists.txt"]


def strip_comments_and_strings(text):
    """The same text with the insides of comments, strings and characters blanked; lines stay."""
    pattern = re.compile(
        r'R"(?P<tag>[^()\\\s]*)\(.*?\)(?P=tag)"'
        r'|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'"
        r"|//[^\n]*"
        r"|/\*.*?\*/", re.DOTALL)

    def blank(match):
        return ('""' if match.group()[0] in 'R"' else " ") + "\n" * match.group().count("\n")

    return pattern.sub(blank, text)


# --- The checks: each yields (file, line, what to do) -------------------------------------------

def closure(folder):
    """What `folder` may include, itself among it."""
    allowed, waiting = set(), [folder]
    while waiting:
        name = waiting.pop()
        if name not in allowed:
            allowed.add(name)
            waiting.extend(ARROWS[name])
    return allowed


def includes_of(tree, name, pattern):
    for number, line in enumerate(tree.lines(name), 1):
        match = re.match(pattern, line)
        if match:
            yield number, match.group(1)


def check_includes(tree):
    for name in tree.code():
        folder = name.split("/")[0]
        if folder not in ARROWS and folder not in FREE:
            yield name, 1, f"{folder}/ is not in the include law (tests/style/check.py, ARROWS)"
            continue
        for number, target in includes_of(tree, name, r'\s*#\s*include\s*"([^"]+)"'):
            to = target.split("/")[0]
            if not (tree.root / target).is_file():
                yield name, number, f'"{target}": write the path from the root of the repository'
            elif folder in FREE:
                continue
            elif to in FREE or to not in closure(folder):
                yield name, number, f"{folder}/ may not include {to}/: the include law"
            else:
                for module in MODULES:
                    if target.startswith(module + "/") and not name.startswith(module + "/"):
                        yield name, number, f"{module}/ is opened at run time; nothing includes it"
    # The libraries that a folder links are those that it may include.
    for name in tree.cmake():
        folder = name.split("/")[0]
        if folder not in ARROWS:
            continue
        for number, line in enumerate(tree.lines(name), 1):
            for to in re.findall(r"\bcoppice_(\w+)\b", line.split("#")[0]):
                if to in ARROWS and to not in closure(folder):
                    yield name, number, f"{folder}/ may not link coppice_{to}: the include law"


def check_homes(tree):
    for name in tree.code() + tree.cmake():
        if name.endswith((".h", ".cc")):
            found = includes_of(tree, name, r"\s*#\s*include\s*<([^>]+)>")
        else:  # precompiled headers
            found = ((number, target) for number, line in enumerate(tree.lines(name), 1)
                     for target in re.findall(r"(?<!\$)<([\w+./]+)>", line.split("#")[0]))
        tested = name[len("tests/"):] if name.startswith("tests/") else name
        for number, target in found:
            homes = [HOMES[prefix] for prefix in HOMES if target.startswith(prefix)]
            if homes:
                if not any(path.startswith(tuple(homes[0])) for path in (name, tested)):
                    yield name, number, f"<{target}> belongs in {' or '.join(homes[0])} alone"
            elif not SYSTEM.match(target):
                yield name, number, f"<{target}> has no home (tests/style/check.py, HOMES)"


def check_file_length(tree):
    for name in tree.written():
        count = len(tree.lines(name))
        if count > FILE_LINES:
            yield name, count, f"{count} lines; split it, {FILE_LINES} at most"


def check_line_length(tree):
    for name in tree.written():
        for number, line in enumerate(tree.lines(name), 1):
            if len(line) > LINE_CHARACTERS and name.endswith((".h", ".cc", ".py")):
                yield name, number, f"{len(line)} characters; {LINE_CHARACTERS} at most"


CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()=]*$")


def functions(text):
    """Yields (first line, last line) of each function body at namespace or class level.

    A brace at that level opens a container (namespace, class, ...), a function, or an initializer,
    and the text before it tells which. Whatever stands inside a function belongs to it.
    """
    text = strip_comments_and_strings(text)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
                  lambda match: "\n" * match.group().count("\n"), text, flags=re.MULTILINE)
    text = re.sub(r"\b(public|private|protected):(?!:)", "", text)
    stack = []  # of (is container, is function, first line)
    head, head_line, line = "", 1, 1
    for place, character in enumerate(text):
        if character == "\n":
            line += 1
        inside = bool(stack) and not stack[-1][0]
        if character == "{":
            container = not inside and bool(CONTAINER.search(head))
            function = (not inside and not container and ")" in head
                        and not head.rstrip().endswith(("=", ",", "(", "return")))
            stack.append((container, function, head_line))
            if container:
                head = ""
        elif character == "}" and stack:
            _, function, first = stack.pop()
            # After a_{1} of a constructor's initializers its head goes on.
            follows = text[place + 1:].lstrip()[:1] if function or inside else ""
            if function and follows not in (",", "{"):
                yield first, line
            if not (stack and not stack[-1][0]) and follows not in (",", "{"):
                head = ""
        elif not inside and character == ";":
            head = ""
        elif not inside:
            if not head.strip():
                head, head_line = "", line
            head += character


def check_function_length(tree):
    for name in tree.code():
        for first, last in functions(tree.read(name)):
            count = last - first + 1
            if count >= FUNCTION_LINES:
                yield name, first, f"a function of {count} lines; fewer than {FUNCTION_LINES}"


def check_spdx(tree):
    for name in tree.written():
        if not any(SPDX in line for line in tree.lines(name)[:2]):
            yield name, 1, f"the first line says {SPDX}"


def check_headers(tree):
    for name in tree.code():
        if name.endswith(".h"):
            if "#pragma once" not in tree.lines(name):
                yield name, 1, "a header says #pragma once"
            for number, line in enumerate(tree.lines(name), 1):
                if re.match(r"\s*using namespace\b", line):
                    yield name, number, "no using namespace in a header"


def check_sources(tree):
    """Every .cc is built: the CMakeLists.txt of its folder, or of one above, names it."""
    lists = {}
    for name in tree.files:
        if Path(name).name == "CMakeLists.txt":
            text = re.sub("#.*", "", tree.read(name)).replace("${CMAKE_SOURCE_DIR}/", "/")
            lists[str(Path(name).parent)] = set(re.findall(r"[\w./${}-]+", text))

    def named(name, parent):
        here = os.path.relpath(name, parent)
        listed = lists.get(parent, ())
        # ${target}_fuzz.cc names whatever fits, as long as the list has the word as well
        return here in listed or any(
            word in listed and re.sub(r"\$\{\w+\}", word, entry) == here
            for entry in listed if "$" in entry for word in re.findall(r"[a-z]+", here))

    for name in tree.code():
        if name.endswith(".cc"):
            if not any(named(name, str(parent)) for parent in Path(name).parents):
                yield name, 1, "no CMakeLists.txt names this file, so nobody builds it"
    for name in tree.files:
        folder = Path(name).parent
        if (Path(name).name == "CMakeLists.txt" and folder.parent == Path("tests")
                and folder.name not in lists.get("tests", ())
                and f"tests/{folder.name}" not in lists.get(".", ())):
            yield name, 1, "tests/CMakeLists.txt does not name this folder"


def check_words(tree):
    for name in tree.files:
        for part in Path(name).parts[:-1]:
            if part in DRAWERS:
                yield name, 1, f"{part}/: name a folder by what it holds"
        if name.startswith("tests/style/") or not (
                Path(name).suffix in TEXT or name in SCRIPTS):
            continue
        for number, line in enumerate(tree.lines(name), 1):
            marker = MARKERS.search(line)
            if marker:
                yield name, number, f"{marker.group()}: do it now, or open an issue"
            place = MACHINE_PATHS.search(line)
            if place:
                yield name, number, f"{place.group()}...: a path of one machine"


def check_quiet(tree):
    """Libraries never print, exit or abort."""
    for name in tree.code():
        if name.split("/")[0] not in ARROWS or name.startswith(MAY_PRINT):
            continue
        for number, line in enumerate(strip_comments_and_strings(tree.read(name)).splitlines(), 1):
            match = PRINTS.search(line)
            if match:
                yield name, number, f"{match.group().strip()}: a library returns a Result or logs"


def check_format(tree):
    if not shutil.which("clang-format"):
        print("style.format: skipped, clang-format is not installed")
        sys.exit(SKIPPED)
    names = tree.code()
    for begin in range(0, len(names), 50):
        batch = names[begin:begin + 50]
        run = subprocess.run(["clang-format", "--dry-run", "--Werror", *batch], cwd=tree.root,
                             capture_output=True, text=True, check=False)
        for number_of_file in sorted(set(re.findall(r"^([^\s:]+:\d+):\d+: error", run.stderr,
                                                    flags=re.MULTILINE))):
            name, number = number_of_file.rsplit(":", 1)
            yield name, int(number), "not formatted: make format"
        if run.returncode != 0 and "error:" not in run.stderr:
            yield ".clang-format", 1, run.stderr.strip()


CHECKS = {
    "includes": check_includes,
    "homes": check_homes,
    "file_length": check_file_length,
    "line_length": check_line_length,
    "function_length": check_function_length,
    "spdx": check_spdx,
    "headers": check_headers,
    "sources": check_sources,
    "words": check_words,
    "quiet": check_quiet,
    "format": check_format,
}


def main():
    parser = argparse.ArgumentParser(description="checks the style of this repository")
    parser.add_argument("names", nargs="+", choices=[*CHECKS, "all"])
    parser.add_argument("--root", default=Path(__file__).parent.parent.parent)
    options = parser.parse_args()
    tree = Tree(options.root)
    if not tree.code():
        sys.exit(f"{tree.root} has no code: nothing was checked")
    found = 0
    for name in CHECKS if "all" in options.names else options.names:
        for file, line, advice in CHECKS[name](tree):
            print(f"{file}:{line}: {advice}")
            found += 1
    print(f"{found} violations in {len(tree.files)} files")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
