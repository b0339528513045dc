# sluice_embed_file(<target> <file> <name>)
#   Puts a file's bytes into a target, which then has
#     #include <sluice/embedded/<name>.h>      namespace sluice::embedded { extern const std::string_view <name>; }
#   The view lives as long as the program. sluice_service() embeds openapi.yaml so: the description that is served is the
#   one the program was built from, and there is no file to mount or to forget.

set(SLUICE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_file.cmake CACHE INTERNAL "")

function(sluice_embed_file target file name)
  get_filename_component(file ${file} ABSOLUTE)
  set(root ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  set(source ${root}/${name}.cpp)
  set(header ${root}/sluice/embedded/${name}.h)
  add_custom_command(OUTPUT ${source} ${header}
    COMMAND ${CMAKE_COMMAND} -D INPUT=${file} -D NAME=${name} -D SOURCE=${source} -D HEADER=${header}
      -P ${SLUICE_EMBED_SCRIPT}
    DEPENDS ${file} ${SLUICE_EMBED_SCRIPT} VERBATIM)
  target_sources(${target} PRIVATE ${source} ${header})
  target_include_directories(${target} PUBLIC ${root})
  set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()
