# SPDX-License-Identifier: Apache-2.0
# Language level, warnings, sanitizers and the compiler cache, for every target of the project.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

get_property(flashrt_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT CMAKE_BUILD_TYPE AND NOT flashrt_multi_config)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(FLASHRT_CCACHE ccache)
  if(FLASHRT_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${FLASHRT_CCACHE}")
  endif()
endif()

# Flags of our own targets; not exported to users of the package.
add_library(flashrt_flags INTERFACE)
target_compile_options(flashrt_flags INTERFACE -Wall -Wextra -fno-math-errno)
if(FLASHRT_WERROR)
  target_compile_options(flashrt_flags INTERFACE -Werror)
endif()
if(FLASHRT_SANITIZE)
  # A finding ends the process: a test that passes under a sanitizer had none.
  target_compile_options(flashrt_flags INTERFACE -fsanitize=${FLASHRT_SANITIZE} -fno-sanitize-recover=all
                                                 -fno-omit-frame-pointer)
  target_link_options(flashrt_flags INTERFACE -fsanitize=${FLASHRT_SANITIZE})
endif()
