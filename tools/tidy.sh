#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over the .cc files that differ from a commit (default: the first parent of HEAD), the
# working tree included. Needs a configured build: BUILD (default: build/release).
#
#   tools/tidy.sh [COMMIT | --all]
#
# Exit code 3: there is no clang-tidy.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build/release}
command -v clang-tidy >/dev/null 2>&1 || { echo "tidy: clang-tidy is not installed" >&2; exit 3; }
tools/source_commands.sh "$build"
commands=$build/tidy/compile_commands.json

base=${1:-}
if [ -z "$base" ]; then
  base=$(git rev-parse --verify --quiet HEAD^1) || base=--all
fi
if [ "$base" = --all ]; then
  changed=$(git ls-files '*.cc')
else
  changed=$({ git diff --name-only --diff-filter=d "$base" -- '*.cc'
              git ls-files --others --exclude-standard -- '*.cc'; } | sort -u)
fi
# Only what this build compiles: no fuzz target, say, where COPPICE_FUZZ is OFF.
files=$(for file in $changed; do
  grep -qF "\"file\": \"$PWD/$file\"" "$commands" && echo "$file"
done || true)
[ -n "$files" ] || { echo "tidy: no changed files that $build compiles"; exit 0; }
echo "tidy: $(wc -w <<<"$files") files, against $base"

# The commands are GCC's: some of its warnings have no such name here.
xargs -P "$(tools/jobs.sh)" -n 1 clang-tidy -p "$build/tidy" --quiet --warnings-as-errors='*' \
  --extra-arg=-Wno-unknown-warning-option \
  <<<"$files" 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -' >&2)
