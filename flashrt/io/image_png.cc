// SPDX-License-Identifier: Apache-2.0
// PNG through libpng. Its errors arrive by longjmp, so the functions that call it hold nothing with a destructor.
#ifdef FLASHRT_WITH_IMAGES

#include <png.h>

#include <cstdio>
#include <cstring>

#include "flashrt/core/error.h"
#include "flashrt/io/image_codecs.h"

namespace flashrt {
namespace {

constexpr png_alloc_size_t kMaxChunk = png_alloc_size_t{8} << 20;

struct Decoder {
  std::span<const std::byte> bytes;
  std::size_t at = 0;
  png_structp png = nullptr;
  png_infop info = nullptr;
  char text[128] = "out of memory";

  explicit Decoder(std::span<const std::byte> input) : bytes(input) {
    auto on_error = [](png_structp p, png_const_charp message) {
      auto* self = static_cast<Decoder*>(png_get_error_ptr(p));
      std::snprintf(self->text, sizeof self->text, "%s", message);
      png_longjmp(p, 1);
    };
    // Warnings are about marks that do not touch the pixels; damage to those is an error of its own.
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
    if (png) info = png_create_info_struct(png);
  }
  ~Decoder() {
    if (png) png_destroy_read_struct(&png, &info, nullptr);
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  static void read(png_structp p, png_bytep out, std::size_t count) {
    auto* self = static_cast<Decoder*>(png_get_io_ptr(p));
    if (count > self->bytes.size() - self->at) png_error(p, "the file is cut");
    std::memcpy(out, self->bytes.data() + self->at, count);
    self->at += count;
  }

  // Each returns false with `text` set.
  bool read_header() noexcept {
    if (!png || !info || setjmp(png_jmpbuf(png))) return false;
    png_set_read_fn(png, this, read);
    // check_image_size() is the limit; its text tells the size.
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(png, kMaxChunk);
    png_set_chunk_cache_max(png, 64);
    png_read_info(png, info);
    return true;
  }
  bool prepare() noexcept {
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_palette_to_rgb(png);
    png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }
  bool read_pixels(png_bytepp rows) noexcept {
    if (setjmp(png_jmpbuf(png))) return false;
    png_read_image(png, rows);
    png_read_end(png, nullptr);
    return true;
  }
};

}  // namespace

Image decode_png(std::span<const std::byte> bytes, std::string_view name, int max_side) {
  Decoder decoder(bytes);
  require(decoder.read_header(), "{}: is a damaged PNG file: {}", name, decoder.text);
  std::size_t height = png_get_image_height(decoder.png, decoder.info);
  std::size_t width = png_get_image_width(decoder.png, decoder.info);
  check_image_size(name, static_cast<std::int64_t>(height), static_cast<std::int64_t>(width), max_side);
  require(decoder.prepare(), "{}: is a damaged PNG file: {}", name, decoder.text);
  std::size_t row_bytes = png_get_rowbytes(decoder.png, decoder.info);
  require(row_bytes == width * 3, "{}: decodes to {} bytes a row instead of {}", name, row_bytes, width * 3);

  Image image;
  image.height = static_cast<int>(height);
  image.width = static_cast<int>(width);
  image.pixels.resize(height * row_bytes);
  std::vector<png_bytep> rows(height);
  for (std::size_t y = 0; y < height; ++y) rows[y] = image.pixels.data() + y * row_bytes;
  require(decoder.read_pixels(rows.data()), "{}: is a damaged PNG file: {}", name, decoder.text);
  return image;
}

}  // namespace flashrt

#endif
