# The libraries, made by cargo: targets netipc::netipc (shared) and netipc::static.

find_program(NETIPC_CARGO cargo REQUIRED)
set(NETIPC_CARGO_DIR ${CMAKE_BINARY_DIR}/cargo)
set(NETIPC_INCLUDE_DIR ${CMAKE_CURRENT_SOURCE_DIR}/src/crates/netipc-c/include)
set(NETIPC_LIB_DIR ${CMAKE_BINARY_DIR}/lib)
set(NETIPC_STATIC ${NETIPC_LIB_DIR}/libnetipc.a)

# What the static library needs of the system. Rust's standard library also unwinds: with libgcc,
# which compilers link by themselves, in the form that fits the program.
if(WIN32)
  set(NETIPC_SYSTEM_LIBS kernel32 ntdll userenv ws2_32 dbghelp)
  # Programs find it where they are themselves.
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  set(NETIPC_SHARED ${CMAKE_BINARY_DIR}/bin/netipc.dll)
  set(NETIPC_IMPORT ${NETIPC_LIB_DIR}/libnetipc.dll.a)
else()
  set(NETIPC_SYSTEM_LIBS pthread dl m c)
  set(NETIPC_SONAME libnetipc.so.${PROJECT_VERSION_MAJOR})
  set(NETIPC_SHARED ${NETIPC_LIB_DIR}/libnetipc.so.${PROJECT_VERSION})
endif()

# Cargo has jobs of its own: those of a make around it are not handed down to it.
set(cargo ${CMAKE_COMMAND} -E env --unset=MAKEFLAGS ${NETIPC_CARGO})
set(cargo_args --locked -p netipc-c --target-dir ${NETIPC_CARGO_DIR})
set(cargo_out ${NETIPC_CARGO_DIR})
if(WIN32)
  list(APPEND cargo_args --target x86_64-pc-windows-gnu)
  string(APPEND cargo_out /x86_64-pc-windows-gnu)
elseif(NETIPC_SANITIZE STREQUAL "thread")
  # What is not built to be watched looks like a race: Rust's own library is built anew, too.
  execute_process(COMMAND rustc +nightly -vV OUTPUT_VARIABLE out COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "host: ([^\n]+)" out "${out}")
  set(NETIPC_RUST_HOST ${CMAKE_MATCH_1})
  set(cargo ${CMAKE_COMMAND} -E env --unset=MAKEFLAGS RUSTFLAGS=-Zsanitizer=thread
    ${NETIPC_CARGO} +nightly)
  list(APPEND cargo_args -Zbuild-std --target ${NETIPC_RUST_HOST})
  string(APPEND cargo_out /${NETIPC_RUST_HOST})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  string(APPEND cargo_out /debug)
else()
  list(APPEND cargo_args --release)
  string(APPEND cargo_out /release)
endif()

# Of the static library only the functions are to be seen, where the tools for that are there.
if(CMAKE_NM AND CMAKE_OBJCOPY AND CMAKE_AR AND NOT APPLE AND NOT WIN32)
  set(NETIPC_LOCALISED ON)
  set(make_static ${CMAKE_COMMAND} -D ARCHIVE=${cargo_out}/libnetipc.a -D OUT=${NETIPC_STATIC}
    -D C_COMPILER=${CMAKE_C_COMPILER} -D NM=${CMAKE_NM} -D OBJCOPY=${CMAKE_OBJCOPY}
    -D AR=${CMAKE_AR} -P ${CMAKE_CURRENT_LIST_DIR}/localise.cmake)
else()
  set(NETIPC_LOCALISED OFF)
  message(STATUS "libnetipc.a also defines symbols of Rust: not made local on this system")
  set(make_static ${CMAKE_COMMAND} -E copy_if_different ${cargo_out}/libnetipc.a ${NETIPC_STATIC})
endif()

set(copy ${CMAKE_COMMAND} -E copy_if_different)
set(link ${CMAKE_COMMAND} -E create_symlink)
if(WIN32)
  set(make_shared
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/bin
    COMMAND ${copy} ${cargo_out}/netipc.dll ${NETIPC_SHARED}
    COMMAND ${copy} ${cargo_out}/libnetipc.dll.a ${NETIPC_IMPORT})
else()
  set(make_shared
    COMMAND ${copy} ${cargo_out}/libnetipc.so ${NETIPC_SHARED}
    COMMAND ${link} libnetipc.so.${PROJECT_VERSION} ${NETIPC_LIB_DIR}/${NETIPC_SONAME}
    COMMAND ${link} ${NETIPC_SONAME} ${NETIPC_LIB_DIR}/libnetipc.so)
endif()

# Cargo knows itself what is up to date, so it is asked every time.
add_custom_target(netipc_cargo ALL
  COMMAND ${cargo} build ${cargo_args}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${NETIPC_LIB_DIR}
  ${make_shared}
  COMMAND ${make_static}
  BYPRODUCTS ${NETIPC_SHARED} ${NETIPC_STATIC} ${NETIPC_IMPORT}
  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
  COMMENT "Building libnetipc with cargo"
  VERBATIM)

add_library(netipc SHARED IMPORTED GLOBAL)
set_target_properties(netipc PROPERTIES
  IMPORTED_LOCATION ${NETIPC_SHARED}
  INTERFACE_INCLUDE_DIRECTORIES ${NETIPC_INCLUDE_DIR})
if(WIN32)
  set_target_properties(netipc PROPERTIES IMPORTED_IMPLIB ${NETIPC_IMPORT})
else()
  set_target_properties(netipc PROPERTIES IMPORTED_SONAME ${NETIPC_SONAME})
endif()
add_dependencies(netipc netipc_cargo)
add_library(netipc::netipc ALIAS netipc)

add_library(netipc_static STATIC IMPORTED GLOBAL)
set_target_properties(netipc_static PROPERTIES
  IMPORTED_LOCATION ${NETIPC_STATIC}
  INTERFACE_INCLUDE_DIRECTORIES ${NETIPC_INCLUDE_DIR}
  INTERFACE_LINK_LIBRARIES "${NETIPC_SYSTEM_LIBS}")
add_dependencies(netipc_static netipc_cargo)
add_library(netipc::static ALIAS netipc_static)

# The names of projects that include this one by its parts. There is one library for all of them.
set(parts protocol uds shm service)
if(WIN32)
  set(parts protocol named_pipe win_shm service_win)
endif()
foreach(part ${parts})
  add_library(netipc_${part} ALIAS netipc_static)
endforeach()
