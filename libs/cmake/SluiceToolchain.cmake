# The compiler settings of the whole tree: language level, warnings, hardening, sanitizers, speed.

set(SLUICE_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize takes them")
option(SLUICE_TESTS "Build the tests, and the crash points they need" ON)

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")

# Named places where a test can order the program to die (libs/base, crash_point.h).
if(SLUICE_TESTS)
  add_compile_definitions(SLUICE_CRASH_POINTS=1)
endif()

# By hand and for all alike: CMake's own switch compiles libraries and programs with different flags, and
# then one precompiled header does not fit both. Nothing here is a shared library.
add_compile_options(-fPIE)
add_link_options(-pie)

# ccache must be told what a precompiled header changes about its assumptions.
find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1 ${SLUICE_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()

# Some packages ask for this; without it everywhere the precompiled header would not fit them.
add_compile_definitions(_FILE_OFFSET_BITS=64)

add_link_options(-fuse-ld=mold)

# Ours alone; generated code and third-party headers are SYSTEM and stay silent.
add_library(sluice_warnings INTERFACE)
target_compile_options(sluice_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Wold-style-cast -Wcast-qual -Wundef -Wimplicit-fallthrough -Werror)

if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
else()
  # Hardening as Debian and OpenSSF advise; -D needs optimisation, which RelWithDebInfo has.
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
    -fstack-clash-protection -fcf-protection=full -D_GLIBCXX_ASSERTIONS)
endif()
add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
