# SPDX-License-Identifier: Apache-2.0
# One test binary per layer, from the *_test.cc files that stand beside the code.

find_package(GTest REQUIRED)
include(GoogleTest)

add_custom_target(flashrt_tests)
foreach(layer IN ITEMS core backends ops quant io text nn models session api serve cli)
  flashrt_glob(sources "flashrt/${layer}/*_test.cc")
  if(NOT sources OR (layer STREQUAL "cli" AND NOT TARGET flashrt_cli_objects))
    continue()
  endif()
  add_executable(${layer}_tests ${sources})
  target_compile_definitions(${layer}_tests PRIVATE FLASHRT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${layer}_tests PRIVATE flashrt flashrt_flags GTest::gtest_main)
  if(layer STREQUAL "cli")
    target_link_libraries(${layer}_tests PRIVATE flashrt_cli_objects)
  endif()
  gtest_discover_tests(${layer}_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" PROPERTIES LABELS ${layer} TIMEOUT 600)
  add_dependencies(flashrt_tests ${layer}_tests)
endforeach()
