# SPDX-License-Identifier: Apache-2.0
# The shape of every target: warnings, floating-point rules, and the include root.

# -ffp-contract=off: results repeat bit for bit whatever the compiler would fuse.
add_library(coppice_flags INTERFACE)
target_include_directories(coppice_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(coppice_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -ffp-contract=off
                                               -fvisibility=hidden)
if(COPPICE_WERROR)
  target_compile_options(coppice_flags INTERFACE -Werror)
endif()

# A device's program is small: what nothing calls is left out, and folders that hold no hot loop are
# compiled for size.
set(COPPICE_FOLDERS_FOR_SIZE config formats protocol client capi cli)
if(COPPICE_DEVICE)
  target_compile_options(coppice_flags INTERFACE -ffunction-sections -fdata-sections)
  target_link_options(coppice_flags INTERFACE -Wl,--gc-sections)
endif()
# Beside LibTorch there is one C++ library in the process: LibTorch's.
if(COPPICE_STATIC AND NOT COPPICE_GRAPH)
  target_link_options(coppice_flags INTERFACE -static-libstdc++ -static-libgcc)
endif()

# Where g++ 12 sees much at once, behind a precompiled header or in several sources, it takes a
# std::string here or there for an overrun, or a value for unset, depending on the source folder's
# name: what its optimizer believes is not asked.
function(coppice_quiet_optimizer target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow
                                             -Wno-stringop-overread -Wno-maybe-uninitialized)
  endif()
endfunction()

# A local name may be that of another file's constant. After coppice_flags, whose -Wshadow it limits.
add_library(coppice_unity_flags INTERFACE)
target_compile_options(coppice_unity_flags INTERFACE -Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local>)

# With COPPICE_UNITY several sources are one compilation: names in unnamed namespaces then have to
# differ within a folder.
function(coppice_unity target)
  if(COPPICE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
    coppice_quiet_optimizer(${target})
    target_link_libraries(${target} PRIVATE coppice_unity_flags)
  endif()
endfunction()
# Those of many sources that read the same headers.
set(COPPICE_FOLDERS_IN_UNITY adapters client aggregator sim cli)

# coppice_library(NAME SOURCES a.cc ... PUBLIC targets... PRIVATE targets...)
# One static library a folder, `coppice_NAME`. PUBLIC and PRIVATE mirror the include law.
function(coppice_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(coppice_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(coppice_${name} PUBLIC coppice_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  if(COPPICE_DEVICE AND name IN_LIST COPPICE_FOLDERS_FOR_SIZE)
    target_compile_options(coppice_${name} PRIVATE -Os)
  endif()
  if(name IN_LIST COPPICE_FOLDERS_IN_UNITY)
    coppice_unity(coppice_${name})
  endif()
endfunction()

# Half of a test's compilation is reading GoogleTest and the standard library: g++ reads them once for
# all tests. What a test itself computes is little: -O1.
function(coppice_test_options name)
  coppice_unity(${name})
  target_compile_options(${name} PRIVATE -O1)
  target_compile_definitions(${name} PRIVATE COPPICE_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                             COPPICE_BINARY_DIR="${CMAKE_BINARY_DIR}")
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    return()
  endif()
  if(NOT TARGET coppice_test_headers)
    file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/test_headers.cc CONTENT "")
    add_library(coppice_test_headers OBJECT ${CMAKE_BINARY_DIR}/test_headers.cc)
    target_link_libraries(coppice_test_headers PRIVATE coppice_flags GTest::gmock)
    target_compile_options(coppice_test_headers PRIVATE -O1 -fPIE) # as programs are compiled
    target_precompile_headers(coppice_test_headers PRIVATE ${CMAKE_SOURCE_DIR}/tests/precompiled.h)
  endif()
  target_precompile_headers(${name} REUSE_FROM coppice_test_headers)
endfunction()

# coppice_test(NAME SOURCES x_test.cc ... LINK targets... [LABELS slow] [TIMEOUT seconds])
# One GoogleTest program, `NAME_tests`; each TEST becomes a ctest entry "NAME.Suite.Test".
function(coppice_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;FILTER" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(CMAKE_CROSSCOMPILING)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 10") # emulated
  endif()
  add_executable(${name}_tests ${ARG_SOURCES})
  target_link_libraries(${name}_tests PRIVATE coppice_flags ${ARG_LINK} GTest::gmock GTest::gtest_main)
  coppice_test_options(${name}_tests)
  gtest_discover_tests(${name}_tests TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
                       TEST_FILTER "${ARG_FILTER}"
                       PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# coppice_preset_test(PRESET NAME BUILD): a slow test that builds another preset's programs, and is the
# fixture NAME of the tests that need them. The present compiler and warnings: ccache then has most.
function(coppice_preset_test preset name build)
  add_test(NAME ${name}
    COMMAND ${CMAKE_COMMAND} -E env CXX=${CMAKE_CXX_COMPILER} CC=${CMAKE_C_COMPILER}
            ${CMAKE_SOURCE_DIR}/tests/build_preset.sh ${preset} ${CMAKE_SOURCE_DIR} ${build}
            -DCOPPICE_WERROR=${COPPICE_WERROR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 3600 LABELS slow FIXTURES_SETUP ${name}
    PROCESSORS 2)
endfunction()
