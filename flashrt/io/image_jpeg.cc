// SPDX-License-Identifier: Apache-2.0
// JPEG through libjpeg. Its errors arrive by longjmp, so the functions that call it hold nothing with a destructor.
#ifdef FLASHRT_WITH_IMAGES

// jpeglib.h needs the types of stdio.h and does not include it.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include <csetjmp>

#include "flashrt/core/error.h"
#include "flashrt/io/image_codecs.h"

namespace flashrt {
namespace {

constexpr int kMaxScans = 100;  // a small file of endless progressive scans must not hold the reader

struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf on_error;
  char text[JMSG_LENGTH_MAX] = "";

  Decoder() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr c) {
      c->err->format_message(c, of(c).text);
      std::longjmp(of(c).on_error, 1);
    };
    // A negative level is a warning: the data is damaged, and libjpeg would make up the pixels.
    errors.emit_message = [](j_common_ptr c, int level) {
      if (level < 0) c->err->error_exit(c);
    };
    errors.output_message = [](j_common_ptr) {};
    progress.progress_monitor = [](j_common_ptr c) {
      if (reinterpret_cast<j_decompress_ptr>(c)->input_scan_number <= kMaxScans) return;
      std::snprintf(of(c).text, sizeof of(c).text, "more than %d scans", kMaxScans);
      std::longjmp(of(c).on_error, 1);
    };
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  static Decoder& of(j_common_ptr c) { return *static_cast<Decoder*>(c->client_data); }

  // Each returns false with `text` set.
  bool read_header(std::span<const std::byte> bytes) noexcept {
    if (setjmp(on_error)) return false;
    jpeg_create_decompress(&info);
    info.progress = &progress;
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
    return true;
  }
  bool read_pixels(std::uint8_t* pixels) noexcept {
    if (setjmp(on_error)) return false;
    info.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = pixels + std::size_t{info.output_scanline} * info.output_width * 3;
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
    return true;
  }
};

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, std::string_view name, int max_side) {
  Decoder decoder;
  require(decoder.read_header(bytes), "{}: is a damaged JPEG file: {}", name, decoder.text);
  const auto& info = decoder.info;
  check_image_size(name, info.image_height, info.image_width, max_side);
  require(info.jpeg_color_space != JCS_CMYK && info.jpeg_color_space != JCS_YCCK,
          "{}: is a CMYK JPEG file; convert it to RGB", name);
  Image image;
  image.height = static_cast<int>(info.image_height);
  image.width = static_cast<int>(info.image_width);
  image.pixels.resize(std::size_t{info.image_height} * info.image_width * 3);
  require(decoder.read_pixels(image.pixels.data()), "{}: is a damaged JPEG file: {}", name, decoder.text);
  return image;
}

}  // namespace flashrt

#endif
