// SPDX-License-Identifier: Apache-2.0
// Strict JSON: what a checkpoint's files say, read with errors that name the file and the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace flashrt {

// Objects keep the order of their file: the order of cameras in a configuration has a meaning.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  std::size_t max_bytes = std::size_t{16} << 20;
  int max_depth = 64;
};

// Throws Error naming `file` for: text that is no JSON or goes on after it, invalid UTF-8, a key given twice in one
// object, a number that is not finite or fits no 64-bit integer, and documents beyond the limits.
Json parse_json(std::string_view text, std::string_view file, const JsonLimits& = {});

// Text from a file as it may stand in an error: in quotes, control characters escaped, cut when long.
std::string in_quotes(std::string_view text);

// One value of a document and its place in it. Keeps the document alive; cheap to copy.
// Every getter throws Error such as: config.json: key "chunk_size" must be an integer, is a string
class JsonReader {
 public:
  static constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

  static JsonReader parse(std::string_view text, std::string_view file, const JsonLimits& = {});
  static JsonReader read(const std::filesystem::path& file, const JsonLimits& = {});

  const Json& json() const { return *value_; }
  std::string where() const;  // `config.json: key "normalization_mapping.STATE"`

  bool is_null() const { return value_->is_null(); }
  bool is_object() const { return value_->is_object(); }
  bool is_array() const { return value_->is_array(); }
  bool is_string() const { return value_->is_string(); }

  // The value itself.
  std::int64_t integer(std::int64_t low = kMin, std::int64_t high = kMax) const;
  double number() const;
  bool boolean() const;
  const std::string& string() const;
  std::vector<double> numbers() const;  // of an array
  std::vector<std::string> strings() const;
  std::vector<std::int64_t> integers(std::int64_t low = kMin, std::int64_t high = kMax) const;
  std::vector<JsonReader> elements() const;                         // of an array
  std::vector<std::pair<std::string, JsonReader>> members() const;  // of an object, in the file's order

  // A member of an object; a missing one is an error.
  JsonReader at(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t low = kMin, std::int64_t high = kMax) const;
  double number(std::string_view key) const { return at(key).number(); }
  bool boolean(std::string_view key) const { return at(key).boolean(); }
  const std::string& string(std::string_view key) const;

  // A member that may be missing or null.
  std::optional<JsonReader> find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key).has_value(); }
  std::int64_t integer_or(std::string_view key, std::int64_t fallback, std::int64_t low = kMin,
                          std::int64_t high = kMax) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string_view fallback) const;

  // Throws Error naming the first member that is not one of `keys`.
  void only(std::initializer_list<std::string_view> keys) const;

 private:
  struct Document {
    Json root;
    std::string file;
  };
  JsonReader(std::shared_ptr<const Document> document, const Json* value, std::string path)
      : document_(std::move(document)), value_(value), path_(std::move(path)) {}
  JsonReader member(const std::string& key, const Json& value) const;
  [[noreturn]] void mismatch(std::string_view wanted) const;

  std::shared_ptr<const Document> document_;
  const Json* value_;
  std::string path_;  // "a.b[3]"; empty for the document itself
};

}  // namespace flashrt
