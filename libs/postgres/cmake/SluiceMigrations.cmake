# sluice_embed_migrations(<service>)
#   Turns migrations/NNNN_name.sql of the calling folder into the library sluice_<service>_migrations,
#   which is linked to the service's adapters. They include "migrations.h":
#     namespace sluice::<service> { std::span<const postgres::Migration> migrations(); }
#   sluice_service() says it for a service that has the folder. The files are numbered from 0001 without a gap; a file that has been
#   released is never edited, since programs refuse a database that was made with another text.
function(sluice_embed_migrations service)
  string(REPLACE "-" "_" id ${service})
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/migrations)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/migrations/*.sql)
  list(SORT files)

  set(entries "")
  set(number 0)
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    math(EXPR number "${number} + 1")
    get_filename_component(stem ${file} NAME_WE)
    if(NOT stem MATCHES "^([0-9][0-9][0-9][0-9])_([a-z0-9_]+)$")
      message(FATAL_ERROR "${file}: a migration is called like 0001_devices.sql")
    endif()
    set(digits ${CMAKE_MATCH_1})
    set(name ${CMAKE_MATCH_2})
    string(REGEX REPLACE "^0+" "" found "${digits}")
    if(NOT found STREQUAL number)
      message(FATAL_ERROR "${file}: migrations are numbered without a gap, and number ${number} is expected here")
    endif()
    file(READ ${file} sql)
    string(APPEND entries "    {.number = ${number}, .name = \"${name}\", .sql = R\"sluice_sql(${sql})sluice_sql\"},\n")
  endforeach()
  if(number EQUAL 0)
    message(FATAL_ERROR "${CMAKE_CURRENT_SOURCE_DIR}/migrations holds no migration")
  endif()

  _sluice_write_if_changed(${folder}/migrations.h "#pragma once

#include <sluice/postgres/migrate.h>

#include <span>

namespace sluice::${id} {

/// migrations/*.sql of this service, in order.
std::span<const postgres::Migration> migrations();

}  // namespace sluice::${id}
")
  _sluice_write_if_changed(${folder}/migrations.cpp "#include \"migrations.h\"

namespace sluice::${id} {

std::span<const postgres::Migration> migrations() {
  static constexpr postgres::Migration kMigrations[] = {
${entries}  };
  return kMigrations;
}

}  // namespace sluice::${id}
")
  set(target sluice_${id}_migrations)
  add_library(${target} STATIC ${folder}/migrations.cpp)
  target_include_directories(${target} PUBLIC ${folder})
  target_link_libraries(${target} PUBLIC sluice_postgres PRIVATE sluice_warnings)
  foreach(user sluice_${id}_adapters ${service})
    if(TARGET ${user})
      get_target_property(type ${user} TYPE)
      if(type STREQUAL "EXECUTABLE")
        target_link_libraries(${user} PRIVATE ${target})
      else()
        target_link_libraries(${user} PUBLIC ${target})
      endif()
    endif()
  endforeach()
endfunction()

# An untouched file is not compiled again. Not file(CONFIGURE) nor file(GENERATE), which would take
# SQL's @ and $< for their own.
function(_sluice_write_if_changed path content)
  set(present "")
  if(EXISTS ${path})
    file(READ ${path} present)
  endif()
  if(NOT present STREQUAL content)
    file(WRITE ${path} "${content}")
  endif()
endfunction()
