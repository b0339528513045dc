# sluice_library(), sluice_service(), sluice_test(): a library or a service is a few lines of CMake.
# Sources are found by folder, so a new file needs no edit: *.cpp is compiled, *_test.cpp is tested.

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)

# Descends into every subfolder that has a CMakeLists.txt.
function(sluice_add_subdirectories root)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${root}/*/CMakeLists.txt)
  foreach(file ${files})
    get_filename_component(folder ${file} DIRECTORY)
    add_subdirectory(${folder})
  endforeach()
endfunction()

# Tells ccache what a precompiled header is made of. It would hash the file itself otherwise, which GCC never makes
# twice the same, so that a fresh clone found nothing in the cache.
function(_sluice_sum_precompiled target)
  set(made_of "${target} ${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION} ${CMAKE_BUILD_TYPE} ${SLUICE_SANITIZE}")
  foreach(file libs/cmake/pch.h libs/cmake/SluiceToolchain.cmake libs/cmake/SluiceTargets.cmake docker/toolchain/packages.txt)
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${file})
      continue()  # an image's build has no packages.txt beside it, and no cache either
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
    file(SHA256 ${CMAKE_SOURCE_DIR}/${file} sum)
    string(APPEND made_of " ${sum}")
  endforeach()
  file(WRITE ${CMAKE_BINARY_DIR}/CMakeFiles/${target}.dir/cmake_pch.hxx.gch.sum "${made_of}\n")
endfunction()

# One precompiled header for our own code, compiled once per kind of target.
function(_sluice_precompile target)
  target_precompile_headers(${target} REUSE_FROM sluice_pch)
endfunction()

add_library(sluice_pch STATIC ${CMAKE_CURRENT_LIST_DIR}/pch.cpp)
target_precompile_headers(sluice_pch PRIVATE ${CMAKE_CURRENT_LIST_DIR}/pch.h)
target_link_libraries(sluice_pch PRIVATE sluice_warnings Threads::Threads)
_sluice_sum_precompiled(sluice_pch)

# Tests are compiled more often than they run, so they are not optimised: about half the time of -O2.
function(_sluice_as_test target)
  target_compile_options(${target} PRIVATE -O0 -U_FORTIFY_SOURCE)
  if(NOT target STREQUAL "sluice_test_pch")
    target_precompile_headers(${target} REUSE_FROM sluice_test_pch)
  endif()
endfunction()

add_library(sluice_test_pch STATIC ${CMAKE_CURRENT_LIST_DIR}/pch.cpp)
_sluice_as_test(sluice_test_pch)
target_precompile_headers(sluice_test_pch PRIVATE ${CMAKE_CURRENT_LIST_DIR}/pch.h <gtest/gtest.h> <gmock/gmock.h>)
target_link_libraries(sluice_test_pch PRIVATE sluice_warnings Threads::Threads GTest::gmock)
_sluice_sum_precompiled(sluice_test_pch)

# sluice_library(<name> [LINK <public>...] [PRIVATE <private>...] [TEST_LINK <for tests>...] [STACK])
#   include/sluice/<name>/ is the public face, src/ the inside, src/*_test.cpp its tests.
#   Target: sluice_<name>. STACK: the tests need the real stack that `make test` starts.
function(sluice_library name)
  cmake_parse_arguments(arg "STACK" "" "LINK;PRIVATE;TEST_LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cpp)
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*_test.cpp)
  list(REMOVE_ITEM sources ${tests} "")
  if(sources)
    add_library(sluice_${name} STATIC ${sources})
    target_include_directories(sluice_${name} PUBLIC include PRIVATE src)
    target_link_libraries(sluice_${name} PUBLIC ${arg_LINK} PRIVATE ${arg_PRIVATE} sluice_warnings Threads::Threads)
    _sluice_precompile(sluice_${name})
  else()
    add_library(sluice_${name} INTERFACE)
    target_include_directories(sluice_${name} INTERFACE include)
    target_link_libraries(sluice_${name} INTERFACE ${arg_LINK})
  endif()
  if(tests AND SLUICE_TESTS)
    set(stack "")
    if(arg_STACK)
      set(stack STACK)
    endif()
    sluice_test(${name}_test ${stack} SOURCES ${tests} LINK sluice_${name} ${arg_PRIVATE} ${arg_TEST_LINK})
    target_include_directories(${name}_test PRIVATE src)
  endif()
endfunction()

# sluice_service(<name> [CORE_LINK <pure libs>...] [LINK <libs>...] [TEST_LINK <for tests>...] [STACK])
#   core/*.cpp     -> sluice_<name>_core: decisions; links pure libraries only, so that impurity does not compile
#   adapters/*.cpp -> sluice_<name>_adapters: I/O behind ports.h
#   main.cpp       -> the binary <name>, which alone sees both
#   testing/*.cpp  -> what the tests of core/ and adapters/ share, such as the suite that a fake and the real adapter pass
#   migrations/, openapi.yaml -> embedded into the adapters: "migrations.h", <sluice/embedded/<name>_openapi.h>
#   tests/         -> tests of the whole program, with a CMakeLists.txt of their own
function(sluice_service name)
  cmake_parse_arguments(arg "STACK" "" "CORE_LINK;LINK;TEST_LINK" ${ARGN})
  string(REPLACE "-" "_" id ${name})
  set(stack "")
  if(arg_STACK)
    set(stack STACK)
  endif()

  set(shared "")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/testing/*.cpp)
  if(sources AND SLUICE_TESTS)
    set(shared sluice_${id}_testing)
    add_library(${shared} OBJECT ${sources})  # an archive would lose tests that nobody calls
    target_link_libraries(${shared} PUBLIC sluice_${id}_core ${arg_TEST_LINK} GTest::gmock PRIVATE sluice_warnings)
    _sluice_as_test(${shared})
  endif()

  set(parts "")
  foreach(part core adapters)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${part}/*.cpp)
    file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${part}/*_test.cpp)
    list(REMOVE_ITEM sources ${tests} "")
    if(sources)
      set(target sluice_${id}_${part})
      add_library(${target} STATIC ${sources})
      target_include_directories(${target} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
      target_link_libraries(${target} PUBLIC sluice_base ${arg_CORE_LINK} PRIVATE sluice_warnings)
      if(part STREQUAL "adapters")
        target_link_libraries(${target} PUBLIC ${arg_LINK})
        if(TARGET sluice_${id}_core)
          target_link_libraries(${target} PUBLIC sluice_${id}_core)
        endif()
      endif()
      _sluice_precompile(${target})
      list(APPEND parts ${target})
    endif()
    if(tests AND SLUICE_TESTS)
      set(part_stack "")
      if(part STREQUAL "adapters")
        set(part_stack ${stack})
      endif()
      sluice_test(${id}_${part}_test ${part_stack} SOURCES ${tests} LINK ${parts} ${shared} ${arg_TEST_LINK})
      target_include_directories(${id}_${part}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    endif()
  endforeach()

  add_executable(${name} main.cpp)
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${parts} sluice_service ${arg_LINK} sluice_warnings)
  _sluice_precompile(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/migrations)
    sluice_embed_migrations(${name})
  endif()
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/openapi.yaml)
    sluice_embed_file(sluice_${id}_adapters openapi.yaml ${id}_openapi)
  endif()
  if(SLUICE_TESTS AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/tests/CMakeLists.txt)
    add_subdirectory(tests)
  endif()
endfunction()

# sluice_test(<name> SOURCES <files>... [LINK <libs>...] [STACK])
#   One program and one ctest entry, labelled `stack` where it needs the real stack.
function(sluice_test name)
  cmake_parse_arguments(arg "STACK" "" "SOURCES;LINK" ${ARGN})
  if(NOT SLUICE_TESTS)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK} sluice_warnings GTest::gmock GTest::gtest_main Threads::Threads)
  _sluice_as_test(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  # Not --gtest_brief: ctest shows the output of a program that failed alone, and there the name of each case tells
  # where a log line belongs, and in which one a program was killed.
  add_test(NAME ${name} COMMAND ${name})
  set(label unit)
  if(arg_STACK)
    set(label stack)
  endif()
  # Twice what the slowest program takes (kafka_stack_test, 95 s, mostly waiting for heartbeats and sessions).
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 200)
endfunction()
