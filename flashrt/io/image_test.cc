// SPDX-License-Identifier: Apache-2.0
// The pictures in corpus/image and what Pillow makes of them come from golden/make_images.py.
#include "flashrt/io/image.h"

#include <gtest/gtest.h>

#include <cstring>

#include "flashrt/io/npy.h"
#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using test::error_text;
using test::expect_error;

const std::filesystem::path kFolder = FLASHRT_SOURCE_DIR "/flashrt/io";

std::vector<std::byte> file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

#ifdef FLASHRT_WITH_IMAGES

class ImageKind : public testing::TestWithParam<std::string> {};

TEST_P(ImageKind, DecodesAsPillowDoes) {
  Image image = read_image(kFolder / "corpus/image" / GetParam());
  NpyArray want = read_npy(kFolder / "golden" / (GetParam() + ".npy"));
  ASSERT_EQ(want.shape, (std::vector<std::int64_t>{image.height, image.width, 3}));
  ASSERT_EQ(want.data.size(), image.pixels.size());
  EXPECT_EQ(std::memcmp(want.data.data(), image.pixels.data(), image.pixels.size()), 0);
}

// A robot must not act on half a picture: every proper beginning of a file is refused.
TEST_P(ImageKind, IsRefusedWhenCut) {
  auto bytes = file_bytes(kFolder / "corpus/image" / GetParam());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    std::string text = error_text([&] { decode_image({bytes.data(), n}, "cut.img"); });
    // Pixels are complete once the end mark of a JPEG has only its second byte to come.
    if (text.empty()) {
      EXPECT_TRUE(GetParam().ends_with(".jpg") && n + 1 == bytes.size()) << n << " of " << bytes.size();
    } else {
      expect_error(text, "cut.img: ");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ImageKind,
                         testing::Values("420.jpg", "422.jpg", "444_progressive.jpg", "grey.jpg", "rgb.png", "rgba.png",
                                         "grey.png", "grey_alpha.png", "one_bit.png", "palette.png",
                                         "palette_alpha.png", "rgb_transparent.png", "rgb16.png", "grey16.png",
                                         "interlaced.png"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

TEST(Image, RefusesWhatItCannotRead) {
  test::TempFolder folder;
  expect_error(error_text([&] { read_image(kFolder / "corpus/image/cmyk.jpg"); }),
               "is a CMYK JPEG file; convert it to RGB");
  expect_error(error_text([&] { read_image(folder.write("a.gif", "GIF89a")); }), "is neither a JPEG nor a PNG file");
  expect_error(error_text([&] { read_image(folder.write("a.png", "")); }), "the file is empty");
  expect_error(error_text([&] { read_image(folder.path("none.png")); }), "no such file");
  expect_error(error_text([&] { read_image(kFolder / "corpus/image/rgb.png", 18); }),
               "the image is 19 x 13 pixels; sides from 1 to 18 are read");
  expect_error(error_text([&] { read_image(kFolder / "corpus/image/420.jpg", 18); }), "19 x 13 pixels");
}

TEST(Image, RefusesDamage) {
  auto damage = [](const char* name, std::size_t at_from_end) {
    auto bytes = file_bytes(kFolder / "corpus/image" / name);
    bytes[bytes.size() - at_from_end] ^= std::byte{0x55};
    return error_text([&] { decode_image(bytes, name); });
  };
  expect_error(damage("rgb.png", 30), "rgb.png: is a damaged PNG file: ");  // in the compressed pixels
  expect_error(damage("rgb.png", 14), "rgb.png: is a damaged PNG file: ");  // in their checksum
  auto bytes = file_bytes(kFolder / "corpus/image/422.jpg");
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i)  // a restart marker out of order
    if (bytes[i] == std::byte{0xff} && bytes[i + 1] == std::byte{0xd0}) bytes[i + 1] = std::byte{0xd5};
  expect_error(error_text([&] { decode_image(bytes, "422.jpg"); }), "422.jpg: is a damaged JPEG file: ");
}

TEST(Image, RefusesHugeSidesBeforeTakingMemory) {
  auto bytes = file_bytes(kFolder / "corpus/image/420.jpg");
  for (std::size_t i = 0; i + 8 < bytes.size(); ++i) {
    if (bytes[i] != std::byte{0xff} || bytes[i + 1] != std::byte{0xc0}) continue;
    bytes[i + 5] = bytes[i + 7] = std::byte{0x40};
  }
  expect_error(error_text([&] { decode_image(bytes, "huge.jpg"); }),
               "huge.jpg: the image is 16403 x 16397 pixels; sides from 1 to 8192 are read");
}

#else

TEST(Image, ABuildWithoutDecodersSaysSo) {
  for (const char* name : {"rgb.png", "420.jpg"})
    expect_error(error_text([&] { decode_image(file_bytes(kFolder / "corpus/image" / name), name); }),
                 "FLASHRT_WITH_IMAGES");
}

#endif

}  // namespace
}  // namespace flashrt
