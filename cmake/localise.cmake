# Makes ARCHIVE, a static library of Rust, into OUT, which defines nothing but nipc_ functions.
#
#   cmake -D ARCHIVE=... -D OUT=... -D C_COMPILER=... -D NM=... -D OBJCOPY=... -D AR=... -P localise.cmake
#
# Rust puts its whole standard library into the archive, under global names. Two such libraries in one
# program, or one and a symbol of the program's own, would clash. So all is linked into one object
# of what the functions need, whose other symbols are then made local.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(failed)
    message(FATAL_ERROR "${ARGV0}: ${failed}\n${out}${err}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

get_filename_component(work ${OUT} DIRECTORY)
set(object ${work}/netipc.o)

# nm also tells of objects without symbols, on standard error.
run(${NM} -g --defined-only ${ARCHIVE})
string(REGEX MATCHALL "nipc_[a-z0-9_]+" functions "${out}")
list(REMOVE_DUPLICATES functions)
list(LENGTH functions count)
if(count LESS 100)
  message(FATAL_ERROR "hardly any function is in ${ARCHIVE}")
endif()
list(JOIN functions "\n" kept)
file(WRITE ${work}/exported.txt "${kept}\n")
list(TRANSFORM functions PREPEND "-Wl,-u," OUTPUT_VARIABLE roots)

run(${C_COMPILER} -r -nostdlib -o ${object} -Wl,--gc-sections ${roots}
  -Wl,--whole-archive ${ARCHIVE} -Wl,--no-whole-archive)
# The bitcode of the single objects means nothing once they are one.
run(${OBJCOPY} --keep-global-symbols=${work}/exported.txt
  --remove-section=.llvmbc --remove-section=.llvmcmd ${object})
file(REMOVE ${work}/netipc.a)
run(${AR} rcs ${work}/netipc.a ${object})
run(${CMAKE_COMMAND} -E copy_if_different ${work}/netipc.a ${OUT})
file(REMOVE ${object} ${work}/netipc.a ${work}/exported.txt)
