# sluice_proto_library(<domain> PROTOS <files>... [DEPENDS <domains>...] [GRPC] [IMPORT_ROOT <folder>])
#   sluice_proto_<domain>: the messages.        sluice_grpc_<domain>: the stubs, with GRPC.
#   Imports of other domains ("sluice/<other>/v1/x.proto") are found in the files themselves; DEPENDS is
#   for what is not. IMPORT_ROOT is what paths in `import` start from, proto/ by default.
#   Generated files lie in <build>/generated and are included as <sluice/<domain>/v1/x.pb.h>.

find_package(Protobuf REQUIRED)
# gRPC uses RE2 and would ask pkg-config for it some twenty times, which follows the hundreds of files of Abseil
# each time: 25 s of every first configuration. It would also hand RE2's own flags (-pthread -DNOMINMAX) on to
# whoever links gRPC, and our precompiled header is good for one set of flags only. So RE2 is found here, in each
# directory that includes this file, and gRPC's configuration looks no further.
if(NOT TARGET re2::re2)
  find_library(SLUICE_RE2_LIBRARY re2 REQUIRED)
  add_library(re2::re2 INTERFACE IMPORTED)
  set_property(TARGET re2::re2 PROPERTY INTERFACE_LINK_LIBRARIES ${SLUICE_RE2_LIBRARY})
endif()
set(re2_FOUND TRUE)
find_package(gRPC CONFIG REQUIRED)

set(SLUICE_GENERATED_DIR ${CMAKE_BINARY_DIR}/generated)

function(sluice_proto_library domain)
  cmake_parse_arguments(arg "GRPC" "IMPORT_ROOT" "PROTOS;DEPENDS" ${ARGN})
  if(NOT arg_IMPORT_ROOT)
    set(arg_IMPORT_ROOT ${CMAKE_SOURCE_DIR}/proto)
  endif()
  file(MAKE_DIRECTORY ${SLUICE_GENERATED_DIR})

  set(message_sources "")
  set(stub_sources "")
  set(depends ${arg_DEPENDS})
  foreach(proto ${arg_PROTOS})
    get_filename_component(proto ${proto} ABSOLUTE)
    file(RELATIVE_PATH path ${arg_IMPORT_ROOT} ${proto})
    string(REGEX REPLACE "\\.proto$" "" stem ${SLUICE_GENERATED_DIR}/${path})
    set(include_roots -I ${arg_IMPORT_ROOT})
    if(NOT arg_IMPORT_ROOT STREQUAL "${CMAKE_SOURCE_DIR}/proto")
      list(APPEND include_roots -I ${CMAKE_SOURCE_DIR}/proto)
    endif()

    # The imports decide both what is linked and what must be generated again. CMake runs again when
    # a file changes, so that a new import is never missed.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${proto})
    file(STRINGS ${proto} imports REGEX "^import +\"sluice/")
    set(imported_files "")
    foreach(import ${imports})
      string(REGEX REPLACE "^import +\"(sluice/([^/]+)/[^\"]+)\".*" "\\1;\\2" parts ${import})
      list(GET parts 0 imported_path)
      list(GET parts 1 imported_domain)
      if(EXISTS ${arg_IMPORT_ROOT}/${imported_path})
        list(APPEND imported_files ${arg_IMPORT_ROOT}/${imported_path})
      endif()
      if(NOT imported_domain STREQUAL domain)
        list(APPEND depends ${imported_domain})
      endif()
    endforeach()

    add_custom_command(OUTPUT ${stem}.pb.cc ${stem}.pb.h
      COMMAND protobuf::protoc ${include_roots} --cpp_out=${SLUICE_GENERATED_DIR} ${proto}
      DEPENDS ${proto} ${imported_files} VERBATIM)
    list(APPEND message_sources ${stem}.pb.cc ${stem}.pb.h)
    file(STRINGS ${proto} services REGEX "^service ")
    if(arg_GRPC AND services)
      add_custom_command(OUTPUT ${stem}.grpc.pb.cc ${stem}.grpc.pb.h
        COMMAND protobuf::protoc ${include_roots} --grpc_out=${SLUICE_GENERATED_DIR}
          --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin> ${proto}
        DEPENDS ${proto} ${imported_files} VERBATIM)
      list(APPEND stub_sources ${stem}.grpc.pb.cc ${stem}.grpc.pb.h)
    endif()
  endforeach()

  set(messages sluice_proto_${domain})
  _sluice_generated_library(${messages} ${message_sources})
  target_link_libraries(${messages} PUBLIC protobuf::libprotobuf)
  list(REMOVE_DUPLICATES depends)
  foreach(depend ${depends})
    target_link_libraries(${messages} PUBLIC sluice_proto_${depend})
  endforeach()

  if(stub_sources)
    _sluice_generated_library(sluice_grpc_${domain} ${stub_sources})
    target_link_libraries(sluice_grpc_${domain} PUBLIC ${messages} gRPC::grpc++)
  endif()
endfunction()

# Code we do not write: silent, its headers SYSTEM. Compiled file by file: protoc gives file-local names
# of the same spelling to each, so that they do not go into one translation unit.
function(_sluice_generated_library target)
  add_library(${target} STATIC ${ARGN})
  target_include_directories(${target} SYSTEM PUBLIC ${SLUICE_GENERATED_DIR})
  target_compile_options(${target} PRIVATE -w)
  set_target_properties(${target} PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
endfunction()
