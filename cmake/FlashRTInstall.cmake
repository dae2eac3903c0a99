# SPDX-License-Identifier: Apache-2.0
# Installs the library, the headers and a CMake package, so that another project can find_package(FlashRT).

include(CMakePackageConfigHelpers)
set(flashrt_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/FlashRT")

install(TARGETS flashrt EXPORT FlashRTTargets)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/flashrt" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h"
        PATTERN "cli" EXCLUDE)
if(TARGET flashrt_cli)
  install(TARGETS flashrt_cli)
endif()

install(EXPORT FlashRTTargets NAMESPACE FlashRT:: DESTINATION "${flashrt_package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/FlashRTConfig.cmake.in" "${PROJECT_BINARY_DIR}/FlashRTConfig.cmake"
                              INSTALL_DESTINATION "${flashrt_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/FlashRTConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/FlashRTConfig.cmake" "${PROJECT_BINARY_DIR}/FlashRTConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindSentencePiece.cmake" DESTINATION "${flashrt_package_dir}")
