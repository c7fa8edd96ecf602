#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the pages say is there: links, files, tests, make targets, commands and their options.

    tests/style/docs.py NAME... [--root DIR] [--program FILE]     (NAME: see CHECKS, or `all`)

Prints one line a violation, FILE:LINE: what to do. Exit code 0: none; 1: some. docs_test.py plants
a violation of each and sees it found. `options` asks the program for its --help.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check  # noqa: E402  (beside this file)

PAGE_OF_COMMANDS = "README.md"
TABLE_OF_COMMANDS = "cli/commands.cc"
FILE_NAMES = (".h", ".cc", ".py", ".md", ".txt", ".toml", ".sh", ".json", ".gguf", ".svg")
PLACEHOLDER = re.compile(r"(^|/)[A-Z]{4,}(/|_|$)|^snake_case\.")  # tests/FOLDER/THING_test.cc


# --- What the pages say ---------------------------------------------------------------------------

def pages(tree):
    return [name for name in tree.files
            if name.endswith(".md") and name.split("/")[0] not in ("tests", "build")]


def code_spans(tree, name):
    """(line, text) of everything in backticks, outside fenced blocks."""
    fenced = False
    for number, line in enumerate(tree.lines(name), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            for text in re.findall(r"`([^`]+)`", line):
                yield number, text


def command_lines(tree, name):
    """(line, words) of each `coppice ...` in fenced blocks; continued lines are one."""
    fenced, begun, text = False, 0, ""
    for number, line in enumerate(tree.lines(name), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            if not text:
                begun = number
            text += line.split(" # ")[0].rstrip()
            if text.endswith("\\"):
                text = text[:-1]
                continue
            words = text.split()
            if words and words[0] == "coppice":
                yield begun, words[1:]
            text = ""


def anchors(tree, name):
    """As GitHub makes them from headings."""
    for line in tree.lines(name):
        if line.startswith("#"):
            text = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            yield text.replace(" ", "-")


# --- What is there --------------------------------------------------------------------------------

def commands(tree):
    """["demo", "aggregator clients list", ...]: the rows of the program's own table."""
    rows = re.findall(r'\{"([a-z ]*)",\s*add_(\w+)_command\}', tree.read(TABLE_OF_COMMANDS))
    found = []
    for group, function in rows:
        prefix = group.replace(" ", "_") + "_" if group else ""
        name = function.removeprefix(prefix).replace("_", "-")
        found.append(f"{group} {name}".strip())
    return found


def listed_commands(tree):
    """(line, command) of the table's first column: in `a b c`, `d` the second one is `a b d`."""
    for number, line in enumerate(tree.lines(PAGE_OF_COMMANDS), 1):
        if not line.startswith("| `"):
            continue
        first = None
        for text in re.findall(r"`([^`]+)`", line.split("|")[1]):
            if first is None:
                first = text
            elif " " in first:
                text = f"{first.rsplit(' ', 1)[0]} {text}"
            yield number, text


def tests_of(tree):
    found = set()
    for name in tree.code():
        if name.startswith("tests/"):
            for suite, test in re.findall(r"\bTEST(?:_F|_P)?\((\w+),\s*(\w+)\)", tree.read(name)):
                found.add(f"{suite}.{test}")
    return found


# --- The checks: each yields (file, line, what to do) ---------------------------------------------

def check_links(tree, _):
    for name in pages(tree):
        for number, line in enumerate(tree.lines(name), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                there = (Path(name).parent / path) if path else Path(name)
                file = (tree.root / there).resolve()
                if not file.exists():
                    yield name, number, f"{target}: there is no such file"
                elif anchor and anchor not in anchors(tree, str(file.relative_to(tree.root))):
                    yield name, number, f"{target}: that page has no such heading"


def check_files(tree, _):
    """`client/round.h` and `round.h` are files of the repository, `client/` a folder."""
    names = {Path(name).name for name in tree.files}
    folders = {str(parent) for name in tree.files for parent in Path(name).parents}
    tops = {name.split("/")[0] for name in tree.files if "/" in name}
    for name in pages(tree):
        for number, text in code_spans(tree, name):
            if not re.fullmatch(r"\w[\w./-]+", text) or PLACEHOLDER.search(text):
                continue
            bare = text.rstrip("/")
            if "/" in text and text.split("/")[0] in tops and bare not in check.MODULES:
                if not any(entry in folders or entry in tree.files
                           for entry in (bare, f"{bare}.h", f"{bare}.cc")):
                    yield name, number, f"{text}: there is no such file"
            elif "/" not in text and text.endswith((".h", ".cc")) and text not in names:
                yield name, number, f"{text}: no file has this name"


def check_tests(tree, _):
    known = tests_of(tree)
    for name in pages(tree):
        for number, text in code_spans(tree, name):
            is_test = re.fullmatch(r"[A-Z]+[a-z]\w+\.[A-Za-z]\w+", text)
            if is_test and not text.endswith(FILE_NAMES) and text not in known:
                yield name, number, f"{text}: there is no such test"


def check_make(tree, _):
    targets = set(re.findall(r"^([a-z0-9-]+):", tree.read("Makefile"), re.MULTILINE))
    for name in pages(tree):
        for number, line in enumerate(tree.lines(name), 1):
            for target in re.findall(r"(?:^|`)make ([a-z0-9-]+)", line):
                if target not in targets:
                    yield name, number, f"make {target}: the Makefile has no such target"


def check_commands(tree, _):
    known = commands(tree)
    listed = list(listed_commands(tree))
    for number, command in listed:
        if command not in known:
            yield PAGE_OF_COMMANDS, number, f"{command}: {TABLE_OF_COMMANDS} has no such command"
    for command in known:
        if command not in [text for _, text in listed]:
            yield PAGE_OF_COMMANDS, 1, f"the table of commands lacks `{command}`"
    for name in pages(tree):
        for number, words in command_lines(tree, name):
            if command_of(words, known) is None:
                yield name, number, f"coppice {' '.join(words[:3])}: there is no such command"


def command_of(words, known):
    for count in (3, 2, 1):
        if " ".join(words[:count]) in known:
            return " ".join(words[:count])
    return None


def check_options(tree, program):
    """Every option of an example is in that command's --help."""
    helps = {}
    for name in pages(tree):
        for number, words in command_lines(tree, name):
            command = command_of(words, commands(tree))
            if command is None:
                continue
            if command not in helps:
                run = subprocess.run([program, *command.split(), "--help"], capture_output=True,
                                     text=True, check=False, timeout=30)
                helps[command] = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", run.stdout))
            for word in words:
                option = word.split("=")[0]
                if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in helps[command]:
                    yield name, number, f"coppice {command} has no option {option}"


CHECKS = {
    "links": check_links,
    "files": check_files,
    "tests": check_tests,
    "make": check_make,
    "commands": check_commands,
    "options": check_options,
}


def main():
    parser = argparse.ArgumentParser(description="checks what the pages say is there")
    parser.add_argument("names", nargs="+", choices=[*CHECKS, "all"])
    parser.add_argument("--root", default=Path(__file__).parent.parent.parent)
    parser.add_argument("--program", help="the built coppice, for `options`")
    options = parser.parse_args()
    names = [name for name in CHECKS if name != "options" or options.program]
    if "all" not in options.names:
        names = options.names
    if "options" in names and not options.program:
        parser.error("`options` needs --program")
    tree = check.Tree(options.root)
    if not pages(tree):
        sys.exit(f"{tree.root} has no pages: nothing was checked")
    found = 0
    for name in names:
        for file, line, advice in CHECKS[name](tree, options.program):
            print(f"{file}:{line}: {advice}")
            found += 1
    print(f"{found} violations in {len(pages(tree))} pages")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
