# What `cmake --install` puts where, and how other projects find it.

include(CMakePackageConfigHelpers)

install(FILES ${NETIPC_STATIC} DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(WIN32)
  install(PROGRAMS ${NETIPC_SHARED} DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${NETIPC_IMPORT} DESTINATION ${CMAKE_INSTALL_LIBDIR})
  set(NETIPC_WHERE "
    IMPORTED_LOCATION \"\${netipc_bin_dir}/netipc.dll\"
    IMPORTED_IMPLIB \"\${netipc_lib_dir}/libnetipc.dll.a\"")
else()
  install(PROGRAMS ${NETIPC_SHARED} DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${NETIPC_LIB_DIR}/${NETIPC_SONAME} ${NETIPC_LIB_DIR}/libnetipc.so
    DESTINATION ${CMAKE_INSTALL_LIBDIR})
  set(NETIPC_WHERE "
    IMPORTED_LOCATION \"\${netipc_lib_dir}/libnetipc.so.${PROJECT_VERSION}\"
    IMPORTED_SONAME \"${NETIPC_SONAME}\"")
endif()
install(DIRECTORY ${NETIPC_INCLUDE_DIR}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

list(TRANSFORM NETIPC_SYSTEM_LIBS PREPEND "-l" OUTPUT_VARIABLE private_libs)
list(JOIN private_libs " " NETIPC_PRIVATE_LIBS)
# The file finds itself, so that the installed tree can be moved.
file(RELATIVE_PATH NETIPC_LIB_TO_PREFIX /${CMAKE_INSTALL_LIBDIR} /)
configure_file(cmake/netipc.pc.in netipc.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/netipc.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/netipc)
configure_package_config_file(cmake/netipcConfig.cmake.in netipcConfig.cmake
  INSTALL_DESTINATION ${package_dir}
  PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(netipcConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/netipcConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/netipcConfigVersion.cmake
  DESTINATION ${package_dir})
