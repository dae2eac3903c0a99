# SPDX-License-Identifier: Apache-2.0
# Every flashrt/**/*_fuzz.cc is one libFuzzer program. The whole library must be built for it: -DFLASHRT_SANITIZE below.

if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "FLASHRT_BUILD_FUZZ needs clang: configure with -DCMAKE_CXX_COMPILER=clang++")
endif()
if(NOT FLASHRT_SANITIZE MATCHES "fuzzer-no-link")
  message(FATAL_ERROR "FLASHRT_BUILD_FUZZ needs -DFLASHRT_SANITIZE=address,undefined,fuzzer-no-link; the preset fuzz sets it")
endif()

add_custom_target(flashrt_fuzzers)
flashrt_glob(flashrt_fuzz_sources "flashrt/*_fuzz.cc")
foreach(source IN LISTS flashrt_fuzz_sources)
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
  target_link_libraries(${name} PRIVATE flashrt flashrt_flags)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(flashrt_fuzzers ${name})
endforeach()
