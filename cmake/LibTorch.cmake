# SPDX-License-Identifier: Apache-2.0
# coppice::torch: LibTorch's two CPU libraries, libtorch_cpu and libc10, and their headers.
#
# find_package(Torch) is not used: in a wheel that was built for CUDA it fails on a machine without
# CUDA, though the CPU half of that wheel serves us as well. Looked for in this order:
#   1. LIBTORCH, as a CMake variable or in the environment: an unpacked LibTorch, or .../torch of a
#      wheel (a folder with include/ and lib/);
#   2. the virtual environment that tools/setup.sh makes: COPPICE_CACHE, else
#      ${XDG_CACHE_HOME:-~/.cache}/coppice, then venv/lib/python3*/site-packages/torch.
# Included only where COPPICE_GRAPH is ON; the program itself never links this (model/engine.h).

set(LIBTORCH "" CACHE PATH "LibTorch: a folder with include/ and lib/ (empty: as cmake/LibTorch.cmake says)")
if(NOT LIBTORCH)
  set(LIBTORCH "$ENV{LIBTORCH}")
endif()

if(DEFINED ENV{COPPICE_CACHE})
  set(coppice_cache "$ENV{COPPICE_CACHE}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(coppice_cache "$ENV{XDG_CACHE_HOME}/coppice")
else()
  set(coppice_cache "$ENV{HOME}/.cache/coppice")
endif()

if(LIBTORCH)
  set(libtorch_places "${LIBTORCH}")
else()
  file(GLOB libtorch_places "${coppice_cache}/venv/lib/python3*/site-packages/torch")
endif()
set(libtorch_dir "")
foreach(place IN LISTS libtorch_places)
  if(EXISTS "${place}/include/ATen/ATen.h" AND EXISTS "${place}/lib/libtorch_cpu.so"
     AND EXISTS "${place}/lib/libc10.so")
    set(libtorch_dir "${place}")
    break()
  endif()
endforeach()
if(NOT libtorch_dir)
  if(LIBTORCH)
    set(libtorch_looked "LIBTORCH=${LIBTORCH}")
  else()
    set(libtorch_looked "${coppice_cache}/venv")
  endif()
  message(FATAL_ERROR "LibTorch was not found in ${libtorch_looked}: no include/ATen/ATen.h, "
    "lib/libtorch_cpu.so and lib/libc10.so there. Run tools/setup.sh, or set LIBTORCH to a folder "
    "that has them, or build without the LibTorch engine: -DCOPPICE_GRAPH=OFF.")
endif()

# The headers are SYSTEM (-isystem, as of any imported target): their warnings are not ours.
add_library(coppice_c10 SHARED IMPORTED)
set_target_properties(coppice_c10 PROPERTIES IMPORTED_LOCATION "${libtorch_dir}/lib/libc10.so")
add_library(coppice_torch_cpu SHARED IMPORTED)
set_target_properties(coppice_torch_cpu PROPERTIES IMPORTED_LOCATION "${libtorch_dir}/lib/libtorch_cpu.so")
add_library(coppice_torch INTERFACE)
add_library(coppice::torch ALIAS coppice_torch)
target_include_directories(coppice_torch SYSTEM INTERFACE
  "${libtorch_dir}/include" "${libtorch_dir}/include/torch/csrc/api/include")
target_link_libraries(coppice_torch INTERFACE coppice_torch_cpu coppice_c10 Threads::Threads)
# What a CUDA build's libtorch_cpu needs besides (libcudart, ...) is found by its own run path when
# it is loaded; the linker has no business with it.
target_link_options(coppice_torch INTERFACE -Wl,--allow-shlib-undefined)
# Templates of the standard library that a program and LibTorch both instantiate (hash tables of
# strings) would be the program's for both, though each compiler laid out its own: LibTorch's CUDA
# half then frees at exit what was never allocated. A program that links it, as tests do, keeps its
# symbols to itself; the module that ours opens does so as well.
target_link_options(coppice_torch INTERFACE
  $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-Wl,--version-script=${CMAKE_CURRENT_LIST_DIR}/no_exports.map>)
if(COPPICE_NCCL)
  # The CUDA half, for NCCL's process group; its headers name CUDA's and NCCL's own, which lie in the
  # toolkit and, of a wheel, beside it.
  find_package(CUDAToolkit REQUIRED)
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS "${libtorch_dir}/../nvidia/nccl/include" REQUIRED)
  add_library(coppice_torch_cuda INTERFACE)
  add_library(coppice::torch_cuda ALIAS coppice_torch_cuda)
  target_include_directories(coppice_torch_cuda SYSTEM INTERFACE
    ${CUDAToolkit_INCLUDE_DIRS} "${NCCL_INCLUDE_DIR}")
  foreach(half torch_cuda c10_cuda)
    add_library(coppice_lib${half} SHARED IMPORTED)
    set_target_properties(coppice_lib${half} PROPERTIES
      IMPORTED_LOCATION "${libtorch_dir}/lib/lib${half}.so")
    target_link_libraries(coppice_torch_cuda INTERFACE coppice_lib${half})
  endforeach()
endif()
message(STATUS "LibTorch: ${libtorch_dir}")
