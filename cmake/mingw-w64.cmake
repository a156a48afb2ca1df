# A toolchain file for Windows programs from another system, by the mingw-w64 compilers. The programs
# run in what CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER names, such as Wine.
#
#   . /opt/netipc-windows/env.sh; cmake -DCMAKE_TOOLCHAIN_FILE=cmake/mingw-w64.cmake ..
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
find_program(MINGW_CXX x86_64-w64-mingw32-g++)
if(MINGW_CXX)
  set(CMAKE_CXX_COMPILER ${MINGW_CXX})
endif()
set(CMAKE_CROSSCOMPILING_EMULATOR $ENV{CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
