# SPDX-License-Identifier: Apache-2.0
# Every bench/*.cc is one program. oneDNN, where it is installed, is the yardstick for the CPU matmul.

flashrt_glob(flashrt_bench_sources "bench/*.cc")
if(flashrt_bench_sources)
  # Debian's package file of oneDNN stops the configuration where OpenCL is missing, quiet or not.
  find_package(OpenCL QUIET)
  if(OpenCL_FOUND)
    find_package(dnnl QUIET)
  endif()
endif()
foreach(source IN LISTS flashrt_bench_sources)
  cmake_path(GET source STEM name)
  add_executable(bench_${name} ${source})
  set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
  target_link_libraries(bench_${name} PRIVATE flashrt flashrt_flags)
  if(TARGET DNNL::dnnl)
    target_compile_definitions(bench_${name} PRIVATE FLASHRT_WITH_DNNL=1)
    target_link_libraries(bench_${name} PRIVATE DNNL::dnnl)
  endif()
endforeach()
