#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Unpacks Debian's arm64 packages of what the device build links and tests with into the folder that
# cmake/aarch64.cmake names. Nothing is installed, so they can't conflict with this machine's own
# packages, and it takes no root: apt works out and fetches the packages against an empty list of
# installed ones, and dpkg only unpacks them. A folder that is whole is kept.
#
# Environment:
#   SKIP_SETUP=1        do nothing
#   COPPICE_CACHE=DIR   where clones share it (default: ${XDG_CACHE_HOME:-~/.cache}/coppice)
set -euo pipefail

[ "${SKIP_SETUP:-}" = 1 ] && exit 0

readonly PACKAGES="libc6-dev libzmq3-dev cppzmq-dev libsodium-dev libcereal-dev
  libsqlite3-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
  libpcre2-dev libeigen3-dev libgtest-dev libgmock-dev"
readonly HERE=${COPPICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coppice}/arm64
readonly ROOT=$HERE/sysroot

mkdir -p "$HERE"
exec 9>"$HERE/lock"
command -v flock >/dev/null 2>&1 && flock 9  # another clone may be at it

# The list stands in for a version: another list, another folder's contents.
if [ "$(cat "$ROOT/.packages" 2>/dev/null)" = "$PACKAGES" ]; then
  exit 0
fi

arm64_apt() {
  LC_ALL=C apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
    -o Dir::State="$HERE/state" -o Dir::State::status="$HERE/state/status" -o Dir::Cache="$HERE/cache" \
    -o Debug::NoLocking=true -o APT::Sandbox::User=root -o Acquire::Retries=2 "$@"
}

rm -rf "$ROOT" "$HERE/state" "$HERE/cache"
mkdir -p "$ROOT" "$HERE/state/lists/partial" "$HERE/cache/archives/partial"
touch "$HERE/state/status"
echo "set-up: arm64 packages into $ROOT (60 MB to fetch, 250 MB of disk)" >&2
arm64_apt update >&2
# shellcheck disable=SC2086
arm64_apt install --yes --download-only --no-install-recommends $PACKAGES >&2
for package in "$HERE"/cache/archives/*.deb; do
  dpkg -x "$package" "$ROOT"
done
rm -rf "$HERE/cache" "$HERE/state"
echo "$PACKAGES" >"$ROOT/.packages"
