# SPDX-License-Identifier: Apache-2.0
# The engine library: every flashrt/**/*.cc once at the baseline, and the ISA files once per instruction set.

# Lists the sources below flashrt/ that match the given patterns, as absolute paths.
function(flashrt_glob out)
  list(TRANSFORM ARGN PREPEND "${PROJECT_SOURCE_DIR}/")
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${ARGN})
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

set(flashrt_isa_pattern "/flashrt/ops/.*/cpu\\.cc$|/flashrt/ops/.*_isa\\.cc$|/flashrt/backends/cpu/.*_isa\\.cc$")

flashrt_glob(flashrt_all "flashrt/*.cc")
set(flashrt_isa_sources ${flashrt_all})
list(FILTER flashrt_isa_sources INCLUDE REGEX "${flashrt_isa_pattern}")
set(flashrt_sources ${flashrt_all})
list(FILTER flashrt_sources EXCLUDE REGEX "${flashrt_isa_pattern}|_test\\.cc$|_fuzz\\.cc$|/flashrt/cli/")

add_library(flashrt ${flashrt_sources})
add_library(FlashRT::flashrt ALIAS flashrt)
set_target_properties(flashrt PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# What every file of the project sees: include paths and definitions of the enabled dependencies.
target_compile_features(flashrt PUBLIC cxx_std_20)
target_include_directories(flashrt PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                          $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(flashrt PUBLIC fmt::fmt nlohmann_json::nlohmann_json Threads::Threads
                              PRIVATE $<BUILD_INTERFACE:flashrt_flags>)
if(FLASHRT_WITH_SENTENCEPIECE)
  target_compile_definitions(flashrt PUBLIC FLASHRT_WITH_SENTENCEPIECE=1)
  target_link_libraries(flashrt PRIVATE SentencePiece::SentencePiece)
endif()
if(FLASHRT_WITH_IMAGES)
  target_compile_definitions(flashrt PUBLIC FLASHRT_WITH_IMAGES=1)
  target_link_libraries(flashrt PRIVATE JPEG::JPEG PNG::PNG)
endif()

# The instruction sets. Which of them runs is chosen from the machine's features at run time. Each starts at the baseline
# again: a -march of the user's own must not decide what the portable rows need.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  message(FATAL_ERROR "FlashRT's CPU backend is written for x86-64, not for ${CMAKE_SYSTEM_PROCESSOR}")
endif()
set(flashrt_isas portable avx2 avx512)
set(flashrt_isa_flags_portable -march=x86-64)
set(flashrt_isa_flags_avx2 -march=x86-64 -mavx2 -mfma -mf16c)
set(flashrt_isa_flags_avx512 ${flashrt_isa_flags_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512bf16
                             -mavx512vnni -mprefer-vector-width=512)

foreach(isa IN LISTS flashrt_isas)
  string(TOUPPER ${isa} ISA)
  if(NOT flashrt_isa_sources)
    continue()
  endif()
  add_library(flashrt_${isa} OBJECT ${flashrt_isa_sources})
  target_compile_features(flashrt_${isa} PRIVATE cxx_std_20)
  target_include_directories(flashrt_${isa} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(flashrt_${isa} PRIVATE FLASHRT_ISA=${isa} FLASHRT_ISA_${ISA}=1)
  # Sanitizer builds keep their own optimisation level; all others need -O3 here, whatever the build type.
  if(NOT FLASHRT_SANITIZE)
    target_compile_options(flashrt_${isa} PRIVATE -O3)
  endif()
  target_compile_options(flashrt_${isa} PRIVATE -ffp-contract=fast ${flashrt_isa_flags_${isa}})
  target_link_libraries(flashrt_${isa} PRIVATE flashrt_flags fmt::fmt nlohmann_json::nlohmann_json)
  target_sources(flashrt PRIVATE $<TARGET_OBJECTS:flashrt_${isa}>)
endforeach()
