// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/npy.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"
#include "flashrt/io/mapped_file.h"
#include "flashrt/io/tensor_source.h"

namespace flashrt {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 65536, kMaxRank = 8;

struct Descr {
  std::string_view text;
  StoredType type;
};
constexpr Descr kDescrs[] = {
    {"<f4", StoredType::f32}, {"<f8", StoredType::f64}, {"|u1", StoredType::u8}, {"<i8", StoredType::i64}};

std::size_t little_endian(std::string_view bytes) {
  std::size_t n = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) n = n << 8 | static_cast<unsigned char>(bytes[i]);
  return n;
}

// The header: a Python dictionary of three known keys, as numpy prints it.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  NpyArray parse() {
    NpyArray array;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      std::string_view key = string();
      expect(':');
      bool& seen = key == "descr" ? descr : key == "fortran_order" ? order : key == "shape" ? shape : unknown(key);
      if (seen) fail("{}: the key {} appears twice in the header", name_, in_quotes(key));
      seen = true;
      if (&seen == &descr) array.type = type();
      if (&seen == &order) c_order();
      if (&seen == &shape) array.shape = tuple();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    require(descr && order && shape, "{}: the header needs descr, fortran_order and shape", name_);
    skip();
    require(text_.empty(), "{}: the header goes on with {}", name_, in_quotes(text_));
    return array;
  }

 private:
  void skip() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }
  bool accept(char c) {
    skip();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail("{}: the header needs '{}' before {}", name_, c, in_quotes(text_));
  }
  bool& unknown(std::string_view key) { fail("{}: the key {} is not known in the header", name_, in_quotes(key)); }
  std::string_view string() {
    skip();
    char quote = text_.starts_with('"') ? '"' : '\'';
    expect(quote);
    std::size_t end = text_.find(quote);
    require(end != text_.npos, "{}: the header ends within a string", name_);
    std::string_view found = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return found;
  }
  StoredType type() {
    skip();
    require(!text_.starts_with('['), "{}: holds records; plain arrays are read", name_);
    std::string_view found = string();
    for (const Descr& d : kDescrs)
      if (d.text == found) return d.type;
    fail("{}: holds elements of type {}; '<f4', '<f8', '|u1' and '<i8' are read", name_, in_quotes(found));
  }
  void c_order() {
    skip();
    require(!text_.starts_with("True"), "{}: is in Fortran order; save numpy.ascontiguousarray of it", name_);
    require(text_.starts_with("False"), "{}: fortran_order must be True or False", name_);
    text_.remove_prefix(5);
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> dims;
    expect('(');
    while (!accept(')')) {
      std::int64_t d = -1;
      skip();
      auto [end, code] = std::from_chars(text_.data(), text_.data() + text_.size(), d);
      require(code == std::errc() && d >= 0, "{}: the shape needs whole numbers, there is {}", name_, in_quotes(text_));
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      dims.push_back(d);
      require(dims.size() <= kMaxRank, "{}: more than {} dimensions", name_, kMaxRank);
      if (!accept(',')) {
        expect(')');
        require(dims.size() > 1, "{}: a shape of one dimension needs a comma", name_);
        break;
      }
    }
    return dims;
  }

  std::string_view text_, name_;
};

}  // namespace

std::int64_t NpyArray::elements() const {
  std::int64_t n = 1;
  for (std::int64_t d : shape) n *= d;
  return n;
}

std::vector<float> NpyArray::floats() const {
  std::vector<float> out(static_cast<std::size_t>(elements()));
  if (!out.empty()) widen(type, data.data(), elements(), out.data());
  return out;
}

NpyArray read_npy(const std::filesystem::path& path) {
  MappedFile file(path);
  return parse_npy(file.bytes(), file.name());
}

NpyArray parse_npy(std::span<const std::byte> bytes, std::string_view name) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(text.starts_with(kMagic), "{}: is not a .npy file", name);
  require(text.size() >= 8, "{}: is cut in the version", name);
  int version = text[6];
  require(version >= 1 && version <= 3 && text[7] == 0, "{}: has version {}.{}; 1.0 to 3.0 are read", name, version,
          static_cast<int>(text[7]));
  std::size_t field = version == 1 ? 2 : 4, begin = 8 + field;
  require(text.size() >= begin, "{}: is cut in the length of the header", name);
  std::size_t length = little_endian(text.substr(8, field));
  require(length <= kMaxHeader, "{}: a header of {} bytes is more than the {} that are read", name, length, kMaxHeader);
  require(length <= text.size() - begin, "{}: is cut in the header", name);

  NpyArray array = HeaderParser(text.substr(begin, length), name).parse();
  std::int64_t size = bits(array.type) / 8;
  for (std::int64_t d : array.shape)
    require(!__builtin_mul_overflow(size, std::max<std::int64_t>(d, 1), &size), "{}: the shape {} is too large", name,
            shape_text(array.shape));
  if (array.elements() == 0) size = 0;
  std::size_t have = text.size() - begin - length;
  require(have == static_cast<std::size_t>(size), "{}: {}{} takes {} bytes, the file has {}", name,
          flashrt::name(array.type), shape_text(array.shape), size, have);
  auto data = bytes.subspan(begin + length);
  array.data.assign(data.begin(), data.end());
  return array;
}

void write_npy(const std::filesystem::path& path, std::span<const std::int64_t> shape, std::span<const float> values) {
  std::string dims;
  std::int64_t elements = 1;
  for (std::int64_t d : shape) {
    dims.append(std::to_string(d)).append(", ");
    elements *= d;
  }
  require(elements == static_cast<std::int64_t>(values.size()), "{}: shape {} does not hold {} values", path.string(),
          shape_text(shape), values.size());
  if (shape.size() > 1) dims.resize(dims.size() - 2);
  if (shape.size() == 1) dims.resize(dims.size() - 1);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims);
  constexpr std::size_t kBefore = 10, kAlign = 64;
  header.resize((kBefore + header.size() + kAlign) / kAlign * kAlign - kBefore, ' ');
  header.back() = '\n';
  require(header.size() < kMaxHeader, "{}: too many dimensions", path.string());
  std::ofstream file(path, std::ios::binary);
  file << kMagic << '\x01' << '\0' << static_cast<char>(header.size()) << static_cast<char>(header.size() >> 8)
       << header;
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  file.close();
  require(file.good(), "{}: cannot be written", path.string());
}

}  // namespace flashrt
