#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gathers what a build needs besides LibTorch and a compiler, from this machine's packages, into one
# archive of a few megabytes: for a GPU machine where nothing can be installed. Headers, static
# archives, CMake's and pkg-config's files, and pkg-config itself; x86-64 Debian or Ubuntu.
#
#   tools/gpu_bundle.sh OUT.tar.xz
#
# There:
#   mkdir bundle && tar -xf OUT.tar.xz -C bundle && . bundle/env.sh
#   export LIBTORCH=$(python3 -c 'import os, torch; print(os.path.dirname(torch.__file__))')
#   cmake --preset cuda && cmake --build --preset cuda --target program packed_tests
set -euo pipefail

readonly OUT=${1:?usage: tools/gpu_bundle.sh OUT.tar.xz}
mkdir -p "$(dirname "$OUT")"
readonly LIMIT=30000000 # bytes
readonly PACKAGES="libzmq3-dev cppzmq-dev libsodium-dev libcereal-dev libsqlite3-dev libcli11-dev
  libtomlplusplus-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libpcre2-dev libeigen3-dev
  libbsd-dev libmd-dev libgloo-dev libgtest-dev libgmock-dev"
# Headers, archives, and what find_package() and pkg-config read; of PCRE2 the 8-bit library alone.
readonly WANTED='^/usr/include/|\.a$|\.cmake$|\.pc$'
readonly UNWANTED='/libpcre2-(16|32|posix)|/libgloo[^/]*\.a$'

missing=""
for package in $PACKAGES pkgconf; do
  dpkg -s "$package" >/dev/null 2>&1 || missing+=" $package"
done
if [ -n "$missing" ]; then
  echo "gpu_bundle: install$missing first (tools/setup.sh, or apt-get)" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086
dpkg -L $PACKAGES | grep -E "$WANTED" | grep -Ev "$UNWANTED" | sort -u |
  while read -r file; do [ -d "$file" ] || echo "${file#/}"; done >"$work/files"
mkdir "$work/root"
tar -C / -cf - -T "$work/files" | tar -C "$work/root" -xf -
mkdir -p "$work/root/usr/bin" "$work/root/usr/libexec"
cp /usr/bin/pkgconf "$work/root/usr/bin/"
ldd /usr/bin/pkgconf | awk '/libpkgconf/ { print $3 }' | xargs -I{} cp -L {} "$work/root/usr/libexec/"

# CMake's files of some packages look whether their shared libraries are there, which nobody links.
grep -rhoE '_IMPORT_PREFIX}/[^";]+\.so[^";]*' "$work/root" --include='*.cmake' |
  sed 's|^[^/]*/||' | sort -u | while read -r file; do
  mkdir -p "$work/root/usr/$(dirname "$file")"
  touch "$work/root/usr/$file"
done

# What Debian's libzmq asks for besides stands for itself (cmake/StaticPackages.cmake).
sed -i 's/^Requires.private:.*/Requires.private: libsodium/' \
  "$work/root/usr/lib/x86_64-linux-gnu/pkgconfig/libzmq.pc"

cat >"$work/root/pkg-config" <<'SH'
#!/bin/sh
# Finds the packages of this bundle, wherever it lies.
here=$(cd "$(dirname "$0")" && pwd)
export PKG_CONFIG_SYSROOT_DIR="$here"
export PKG_CONFIG_LIBDIR="$here/usr/lib/x86_64-linux-gnu/pkgconfig:$here/usr/share/pkgconfig"
LD_LIBRARY_PATH="$here/usr/libexec" exec "$here/usr/bin/pkgconf" "$@"
SH
chmod +x "$work/root/pkg-config"
cat >"$work/root/env.sh" <<'SH'
# To be read by the shell: `. bundle/env.sh`
bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CMAKE_PREFIX_PATH="$bundle/usr" PKG_CONFIG="$bundle/pkg-config"
SH
tar -C "$work/root" --sort=name --owner=0 --group=0 --mtime=@0 -cJf "$OUT" .
size=$(stat -c %s "$OUT")
if [ "$size" -gt "$LIMIT" ]; then
  echo "gpu_bundle: $OUT has $size bytes, over the limit of $LIMIT" >&2
  exit 1
fi
echo "gpu_bundle: $OUT, $size bytes, $(wc -l <"$work/files") files" >&2
