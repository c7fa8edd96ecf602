# SPDX-License-Identifier: Apache-2.0
# Two components: `program`, what a machine runs, and `development`, coppice.h with its library and
# the package that find_package(coppice) reads. `cmake --install BUILD --strip` leaves symbols out.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/coppice)

install(TARGETS coppice RUNTIME COMPONENT program)
if(COPPICE_GRAPH)
  # Beside the program, which looks for it there.
  install(TARGETS coppice_graph_module LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  if(TARGET coppice_cluster_module)
    install(TARGETS coppice_cluster_module LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  endif()
endif()

install(TARGETS coppice_shared EXPORT coppiceTargets
        LIBRARY COMPONENT development NAMELINK_COMPONENT development)
install(FILES capi/coppice.h TYPE INCLUDE COMPONENT development)
install(EXPORT coppiceTargets NAMESPACE coppice:: DESTINATION ${package_folder}
        COMPONENT development)
if(COPPICE_STATIC)
  install(FILES ${CMAKE_BINARY_DIR}/libcoppice.a TYPE LIB COMPONENT development)
endif()
configure_package_config_file(cmake/coppiceConfig.cmake.in ${CMAKE_BINARY_DIR}/coppiceConfig.cmake
                              INSTALL_DESTINATION ${package_folder}
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/coppiceConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/coppiceConfig.cmake ${CMAKE_BINARY_DIR}/coppiceConfigVersion.cmake
        DESTINATION ${package_folder} COMPONENT development)
