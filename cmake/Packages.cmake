# SPDX-License-Identifier: Apache-2.0
# Third-party libraries, all from the system's packages, as imported targets. Which folder may use
# which library is law (tests/style): config: toml++; formats: nlohmann; base: spdlog; crypto:
# libsodium; protocol: ZeroMQ and cereal; model: PCRE2; adapters (factored_svd.cc alone): Eigen;
# aggregator: SQLite and Eigen; cli: CLI11; model/graph and sim/cluster: LibTorch.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus QUIET)
if(NOT COPPICE_DEVICE)
  find_package(Eigen3 REQUIRED NO_MODULE)
endif()
if(COPPICE_STATIC)
  include(StaticPackages) # the same targets as below
else()
  find_package(SQLite3 REQUIRED)
  pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
  pkg_check_modules(zmq REQUIRED IMPORTED_TARGET libzmq)
  pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
  add_library(coppice_spdlog INTERFACE)
  target_link_libraries(coppice_spdlog INTERFACE spdlog::spdlog)
endif()
find_path(CEREAL_INCLUDE_DIR cereal/cereal.hpp REQUIRED)
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)
if(COPPICE_GRAPH)
  include(LibTorch) # coppice::torch, for model/graph and sim/cluster alone
  # The wheel has Gloo's code in it and lacks its headers.
  find_path(GLOO_INCLUDE_DIR gloo/algorithm.h)
  if(COPPICE_CLUSTER AND NOT GLOO_INCLUDE_DIR)
    message(WARNING "No gloo/algorithm.h (Debian: libgloo-dev): simulations will run in one process.")
    set(COPPICE_CLUSTER OFF)
  endif()
endif()
if(COPPICE_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
