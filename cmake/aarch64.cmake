# SPDX-License-Identifier: Apache-2.0
# Cross-compiles for arm64 with Debian's g++-aarch64-linux-gnu and the packages that
# tools/arm64_sysroot.sh unpacks. Tests run under qemu's user-mode emulation, as a processor with
# every extension it knows; COPPICE_QEMU_CPU=cortex-a53, say, makes it a plainer one.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc) # and with it the prefix of strip and ar
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

if(DEFINED ENV{COPPICE_CACHE})
  set(cache $ENV{COPPICE_CACHE})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(cache $ENV{XDG_CACHE_HOME}/coppice)
else()
  set(cache $ENV{HOME}/.cache/coppice)
endif()
set(CMAKE_SYSROOT ${cache}/arm64/sysroot)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# pkg-config sees nothing of the machine that compiles.
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
    ${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)

find_program(qemu NAMES qemu-aarch64 qemu-aarch64-static REQUIRED)
if(DEFINED ENV{COPPICE_QEMU_CPU})
  set(cpu $ENV{COPPICE_QEMU_CPU})
else()
  set(cpu max)
endif()
set(CMAKE_CROSSCOMPILING_EMULATOR ${qemu};-cpu;${cpu};-L;${CMAKE_SYSROOT})
