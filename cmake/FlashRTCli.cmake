# SPDX-License-Identifier: Apache-2.0
# The flashrt command. Everything but its main.cc is an object library, so that tests can link it too.

flashrt_glob(flashrt_cli_sources "flashrt/cli/*.cc")
list(FILTER flashrt_cli_sources EXCLUDE REGEX "_test\\.cc$|_fuzz\\.cc$")
set(flashrt_cli_main "${PROJECT_SOURCE_DIR}/flashrt/cli/main.cc")
list(REMOVE_ITEM flashrt_cli_sources "${flashrt_cli_main}")

if(EXISTS "${flashrt_cli_main}")
  find_package(CLI11 REQUIRED)
  add_executable(flashrt_cli "${flashrt_cli_main}")
  set_target_properties(flashrt_cli PROPERTIES OUTPUT_NAME flashrt)
  target_link_libraries(flashrt_cli PRIVATE flashrt flashrt_flags CLI11::CLI11)
  if(flashrt_cli_sources)
    add_library(flashrt_cli_objects OBJECT ${flashrt_cli_sources})
    target_link_libraries(flashrt_cli_objects PUBLIC flashrt CLI11::CLI11 PRIVATE flashrt_flags)
    target_link_libraries(flashrt_cli PRIVATE flashrt_cli_objects)
  endif()
endif()
