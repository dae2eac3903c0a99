// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/image.h"

#include <algorithm>
#include <array>

#include "flashrt/core/error.h"
#include "flashrt/io/image_codecs.h"
#include "flashrt/io/mapped_file.h"

namespace flashrt {
namespace {

template <std::size_t N>
bool starts_with(std::span<const std::byte> bytes, const std::array<unsigned char, N>& magic) {
  return bytes.size() >= N && std::equal(magic.begin(), magic.end(), bytes.begin(), [](unsigned char m, std::byte b) {
           return m == std::to_integer<unsigned char>(b);
         });
}

constexpr std::array<unsigned char, 3> kJpeg{0xff, 0xd8, 0xff};
constexpr std::array<unsigned char, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

}  // namespace

Image read_image(const std::filesystem::path& path, int max_side) {
  MappedFile file(path);
  return decode_image(file.bytes(), file.name(), max_side);
}

Image decode_image(std::span<const std::byte> bytes, std::string_view name, int max_side) {
  if (starts_with(bytes, kJpeg)) return decode_jpeg(bytes, name, max_side);
  if (starts_with(bytes, kPng)) return decode_png(bytes, name, max_side);
  fail("{}: is neither a JPEG nor a PNG file", name);
}

void check_image_size(std::string_view name, std::int64_t height, std::int64_t width, int max_side) {
  require(height > 0 && width > 0 && height <= max_side && width <= max_side,
          "{}: the image is {} x {} pixels; sides from 1 to {} are read", name, width, height, max_side);
}

#ifndef FLASHRT_WITH_IMAGES

namespace {

[[noreturn]] Image fail_without_codecs(std::string_view name) {
  fail("{}: this build reads no JPEG or PNG files; configure it with -DFLASHRT_WITH_IMAGES=ON, or give raw pixels",
       name);
}

}  // namespace

Image decode_jpeg(std::span<const std::byte>, std::string_view name, int) { return fail_without_codecs(name); }
Image decode_png(std::span<const std::byte>, std::string_view name, int) { return fail_without_codecs(name); }

#endif

}  // namespace flashrt
