# Installs into an empty prefix, moves it, and builds and runs a program with what is there:
# with pkg-config against the shared and against the static library, and with find_package.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(failed)
    message(FATAL_ERROR "${ARGN}: ${failed}\n${out}${err}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/staged)
file(RENAME ${WORK}/staged ${WORK}/prefix)
set(lib ${WORK}/prefix/${LIBDIR})
set(ENV{LD_LIBRARY_PATH} ${lib})

find_program(PKG_CONFIG pkg-config)
if(PKG_CONFIG)
  set(ENV{PKG_CONFIG_PATH} ${lib}/pkgconfig)
  run(${PKG_CONFIG} --cflags --libs netipc)
  separate_arguments(flags UNIX_COMMAND "${out}")
  run(${COMPILER} ${SOURCE}/main.c -o ${WORK}/pkg-shared ${flags})
  run(${WORK}/pkg-shared)
  message("pkg-config, shared: ${out}")

  run(${PKG_CONFIG} --static --cflags --libs netipc)
  # Both libraries are there, and linkers prefer the shared one.
  string(REPLACE "-lnetipc" "-l:libnetipc.a" flags "${out}")
  separate_arguments(flags UNIX_COMMAND "${flags}")
  run(${COMPILER} ${SOURCE}/main.c -o ${WORK}/pkg-static ${flags})
  unset(ENV{LD_LIBRARY_PATH})
  run(${WORK}/pkg-static)
  message("pkg-config, static: ${out}")
else()
  message("pkg-config not found: skipped")
endif()

set(ENV{LD_LIBRARY_PATH} ${lib})
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/found -D CMAKE_PREFIX_PATH=${WORK}/prefix
  -D CMAKE_C_COMPILER=${COMPILER})
run(${CMAKE_COMMAND} --build ${WORK}/found)
run(${WORK}/found/shared)
message("find_package, shared: ${out}")
unset(ENV{LD_LIBRARY_PATH})
run(${WORK}/found/static)
message("find_package, static: ${out}")
