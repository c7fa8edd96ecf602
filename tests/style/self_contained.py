#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone, with the flags of a source file of its own folder.

    tests/style/self_contained.py ROOT BUILD
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import check  # beside this file


def flags_by_folder(commands, root):
    """What a compiler is told in each folder, less the names of files and precompiled headers."""
    flags = {}
    for entry in commands:
        words = shlex.split(entry["command"])
        while words and not words[0].endswith(("++", "++-12", "++-14")):
            words.pop(0)  # ccache
        kept, skip = [], False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-c", "-include", "-MF", "-MT", "-MQ"):
                skip = True
            elif not word.startswith("-M"):
                kept.append(word)
        folder = str(Path(entry["file"]).parent.relative_to(root)) if entry["file"].startswith(
            str(root)) else ""
        # Of a folder with several targets, what the one with most definitions is told.
        flags[folder] = max(flags.get(folder, []), kept, key=len)
    return flags


def compile_alone(root, header, flags):
    run = subprocess.run([*flags, "-fsyntax-only", "-x", "c++", "-"], cwd=root, text=True,
                         input=f'#include "{header}"\n', capture_output=True, check=False)
    return header, "" if run.returncode == 0 else run.stderr


def main():
    root = Path(sys.argv[1]).resolve()
    build = Path(sys.argv[2]).resolve()
    subprocess.run([root / "tools/source_commands.sh", build], check=True)
    commands = json.loads((build / "tidy/compile_commands.json").read_text(encoding="utf-8"))
    flags = flags_by_folder(commands, root)
    headers = [name for name in check.Tree(root).code()
               if name.endswith(".h") and str(Path(name).parent) in flags]
    if not headers:
        sys.exit("no header has a source file beside it: nothing was checked")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, complaint in pool.map(
                lambda name: compile_alone(root, name, flags[str(Path(name).parent)]), headers):
            if complaint:
                failed += 1
                print(f"{header} does not compile alone:\n{complaint}")
    print(f"{failed} of {len(headers)} headers do not compile alone")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
