# What programs of this project are built and linked with: netipc_link(TARGET [LIBRARY]).
#
# Without NETIPC_SANITIZE that is LIBRARY, by default the shared one, and with it the static one. AddressSanitizer watches what the C code does and
# all memory that either language allocates; ThreadSanitizer watches both languages.

if(NETIPC_SANITIZE AND NOT NETIPC_SANITIZE MATCHES "^(address|thread)$")
  message(FATAL_ERROR "NETIPC_SANITIZE is address, thread or nothing")
endif()

if(NETIPC_SANITIZE STREQUAL "thread")
  # The runtime must be that of the Rust compiler: others lack what its code calls.
  execute_process(COMMAND rustc +nightly --print sysroot OUTPUT_VARIABLE sysroot
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB NETIPC_TSAN ${sysroot}/lib/rustlib/${NETIPC_RUST_HOST}/lib/librustc*_rt.tsan.a)
  if(NOT NETIPC_TSAN)
    message(FATAL_ERROR "no ThreadSanitizer in ${sysroot}")
  endif()
endif()

function(netipc_link target)
  if(WIN32)
    # Their threads are those of mingw, which comes with the program.
    target_compile_definitions(${target} PRIVATE __USE_MINGW_ANSI_STDIO=1)
    target_link_options(${target} PRIVATE -static)
    target_link_libraries(${target} PRIVATE pthread)
  else()
    find_package(Threads REQUIRED)
    target_link_libraries(${target} PRIVATE Threads::Threads)
  endif()
  if(NETIPC_SANITIZE)
    target_compile_options(${target} PRIVATE -g -fsanitize=${NETIPC_SANITIZE})
    target_link_libraries(${target} PRIVATE netipc::static)
  else()
    set(library netipc::netipc ${ARGN})
    list(GET library -1 library)
    target_link_libraries(${target} PRIVATE ${library})
  endif()
  if(NETIPC_SANITIZE STREQUAL "address")
    target_link_options(${target} PRIVATE -fsanitize=address)
  elseif(NETIPC_SANITIZE STREQUAL "thread")
    target_link_libraries(${target} PRIVATE
      -Wl,--whole-archive ${NETIPC_TSAN} -Wl,--no-whole-archive rt)
  endif()
endfunction()
