# SPDX-License-Identifier: Apache-2.0
# Where COPPICE_STATIC is on, libraries are linked in: programs need nothing but the C library.
# Defines the targets that cmake/Packages.cmake defines for other builds.

# static_package(TARGET MODULE ARCHIVE [NOT_PIC] [NEEDS targets...]): headers by pkg-config, the code
# from an archive. NOT_PIC: Debian's archive isn't position-independent. Programs link it;
# libcoppice.so can't, and links that one as a shared library.
function(static_package target module archive)
  cmake_parse_arguments(ARG "NOT_PIC" "" "NEEDS" ${ARGN})
  pkg_check_modules(${module} REQUIRED ${module})
  find_library(${module}_ARCHIVE NAMES ${archive} HINTS ${${module}_LIBRARY_DIRS} REQUIRED)
  add_library(${module}_static STATIC IMPORTED GLOBAL)
  set_target_properties(${module}_static PROPERTIES IMPORTED_LOCATION ${${module}_ARCHIVE})
  target_link_libraries(${module}_static INTERFACE ${ARG_NEEDS})
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE ${${module}_INCLUDE_DIRS})
  set(linked ${module}_static)
  if(ARG_NOT_PIC)
    set(shared $<STREQUAL:$<TARGET_PROPERTY:TYPE>,SHARED_LIBRARY>)
    set(linked $<IF:${shared},${${module}_LINK_LIBRARIES},${linked}>)
  endif()
  target_link_libraries(${target} INTERFACE ${linked})
endfunction()

# glibc lacks libbsd's strlcpy before 2.38.
set(COPPICE_BSD_ARCHIVES "")
foreach(name bsd md)
  find_library(COPPICE_${name}_ARCHIVE NAMES lib${name}.a)
  if(COPPICE_${name}_ARCHIVE)
    list(APPEND COPPICE_BSD_ARCHIVES ${COPPICE_${name}_ARCHIVE})
  endif()
endforeach()

static_package(PkgConfig::pcre2 libpcre2-8 libpcre2-8.a)
static_package(PkgConfig::sodium libsodium libsodium.a NOT_PIC)
# Debian's libzmq was built with mechanisms and transports that coppice never asks for; two of their
# libraries (Kerberos, and what NORM pulls in) have no archive to link. protocol/zmq_left_out.cc
# stands for all of them. Elsewhere libzmq may not miss them; then nothing of that file is linked.
static_package(PkgConfig::zmq libzmq libzmq.a NOT_PIC
  NEEDS libsodium_static coppice_zmq_left_out Threads::Threads ${COPPICE_BSD_ARCHIVES})
if(NOT COPPICE_DEVICE)
  static_package(SQLite::SQLite3 sqlite3 libsqlite3.a
    NEEDS Threads::Threads ${CMAKE_DL_LIBS} m)
endif()

# Debian has spdlog and fmt as shared libraries or as headers.
find_package(fmt REQUIRED)
add_library(coppice_spdlog INTERFACE)
target_include_directories(coppice_spdlog SYSTEM INTERFACE
  $<TARGET_PROPERTY:spdlog::spdlog_header_only,INTERFACE_INCLUDE_DIRECTORIES>)
target_compile_definitions(coppice_spdlog INTERFACE SPDLOG_FMT_EXTERNAL)
target_link_libraries(coppice_spdlog INTERFACE fmt::fmt-header-only Threads::Threads)
