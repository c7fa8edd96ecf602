#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A user's real text through the whole system: eight roles of TinyShakespeare, one device each.

Usage: shakespeare_roles.py PROGRAM TINYSHAKESPEARE

Processes, sockets and training are those of `coppice demo --data`. The mean over the devices'
report text must fall from base to shared and from shared to personal, and the audit must be clean.
Exit status 77 says that the text isn't there (ctest counts it as skipped).
"""
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

ROLES = 8
SKIPPED = 77


def speeches_by_role(text):
    """A speech is a line `ROLE:` and the lines after it, up to a blank line."""
    roles = collections.defaultdict(list)
    for block in text.split("\n\n"):
        head, _, body = block.partition("\n")
        if head.endswith(":") and body.strip():
            roles[head[:-1]].append(body.strip())
    return roles


def write_folders(roles, folder):
    largest = sorted(roles, key=lambda role: -sum(map(len, roles[role])))[:ROLES]
    for role in largest:
        home = folder / role.lower().replace(" ", "-")
        home.mkdir()
        (home / "speeches.txt").write_text("\n\n".join(roles[role]) + "\n", encoding="utf-8")


def main():
    program, source = sys.argv[1], pathlib.Path(sys.argv[2])
    if not source.exists():
        print(f"skipped: {source} is not there")
        return SKIPPED
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        write_folders(speeches_by_role(source.read_text(encoding="utf-8")), folder)
        run = subprocess.run(
            [program, "demo", "--data", str(folder), "--format", "json"],
            stdout=subprocess.PIPE, check=False, timeout=900)
    result = json.loads(run.stdout)
    mean, audit = result["mean"], result["audit"]
    print(json.dumps({"mean": mean, "audit": audit, "seconds": result["seconds"]}, indent=2))
    assert len(result["clients"]) == ROLES, "every role is a device"
    assert mean["shared"] < mean["base"], "shared must beat base in the mean"
    assert mean["personal"] < mean["shared"], "personal must beat shared in the mean"
    assert audit["canaries_found"] == 0 and audit["unaccounted_bytes"] == 0, audit
    assert run.returncode == 0, f"the demo ended with {run.returncode}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
