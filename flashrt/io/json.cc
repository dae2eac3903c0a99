// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/json.h"

#include <algorithm>
#include <unordered_set>

#include "flashrt/core/error.h"
#include "flashrt/io/mapped_file.h"

namespace flashrt {
namespace {

constexpr std::size_t kLongestQuote = 240;

std::string_view kind(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "an array";
    case Json::value_t::string: return "a string";
    case Json::value_t::boolean: return "a boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return "an integer";
    case Json::value_t::number_float: return "a number with a fraction or an exponent";
    default: return "no JSON value";
  }
}

// Builds the document while the parser reports its parts, refusing what the grammar alone lets pass.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view file, int max_depth) : file_(file), max_depth_(static_cast<std::size_t>(max_depth)) {}

  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool v) override { return put(v); }
  bool number_integer(number_integer_t v) override { return put(v); }
  bool number_unsigned(number_unsigned_t v) override { return put(v); }
  bool string(string_t& v) override { return put(std::move(v)); }
  bool binary(binary_t&) override { return false; }

  bool number_float(number_float_t v, const string_t& text) override {
    // The parser turns integers of more than 64 bits into floats.
    if (text.find_first_of(".eE") == std::string::npos)
      fail("{}: the integer {} does not fit 64 bits", file_, in_quotes(text));
    return put(v);
  }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& v) override {
    if (!keys_.back().insert(v).second) fail("{}: the key {} appears twice in one object", file_, in_quotes(v));
    key_ = std::move(v);
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception& e) override {
    std::string text = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (auto end = text.find("] "); text.starts_with("[") && end != std::string::npos) text.erase(0, end + 2);
    std::string clean = in_quotes(text);
    fail("{}: is not valid JSON: {}", file_, std::string_view(clean).substr(1, clean.size() - 2));
  }

 private:
  template <class T>
  bool put(T&& value) {
    place(Json(std::forward<T>(value)));
    return true;
  }
  Json* place(Json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // Straight to the end: key() has seen to duplicates, and a look-up in an ordered object takes linear time.
    auto& members = parent.get_ref<Json::object_t&>();
    return &members.emplace_back(std::move(key_), std::move(value)).second;
  }
  bool open(Json&& container) {
    require(open_.size() < max_depth_, "{}: is nested deeper than {} levels", file_, max_depth_);
    open_.push_back(place(std::move(container)));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  std::string_view file_;
  std::size_t max_depth_;
  Json root_;
  std::vector<Json*> open_;  // containers not yet closed: each is the last element of the one before, so none moves
  std::vector<std::unordered_set<std::string>> keys_;  // of each of them, when it is an object
  std::string key_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view file, const JsonLimits& limits) {
  require(text.size() <= limits.max_bytes, "{}: {} bytes of JSON are more than the {} that are read here", file,
          text.size(), limits.max_bytes);
  // The parser takes a zero byte for the end of the text.
  require(text.find('\0') == text.npos, "{}: is not valid JSON: it holds a zero byte", file);
  Builder builder(file, limits.max_depth);
  require(Json::sax_parse(text.begin(), text.end(), &builder), "{}: is not valid JSON", file);
  return builder.take();
}

std::string in_quotes(std::string_view text) {
  bool cut = text.size() > kLongestQuote;
  std::string out =
      Json(std::string(text.substr(0, kLongestQuote))).dump(-1, ' ', false, Json::error_handler_t::replace);
  if (cut) out.insert(out.size() - 1, "...");
  return out;
}

JsonReader JsonReader::parse(std::string_view text, std::string_view file, const JsonLimits& limits) {
  auto document = std::make_shared<const Document>(Document{parse_json(text, file, limits), std::string(file)});
  const Json* root = &document->root;
  return {std::move(document), root, ""};
}

JsonReader JsonReader::read(const std::filesystem::path& path, const JsonLimits& limits) {
  MappedFile file(path);
  auto bytes = file.bytes();
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.name(), limits);
}

std::string JsonReader::where() const {
  return path_.empty() ? document_->file + ": the document"
                       : fmt::format("{}: key {}", document_->file, in_quotes(path_));
}

void JsonReader::mismatch(std::string_view wanted) const {
  fail("{} must be {}, is {}", where(), wanted, kind(*value_));
}

std::int64_t JsonReader::integer(std::int64_t low, std::int64_t high) const {
  if (!value_->is_number_integer()) mismatch("an integer");
  bool beyond = value_->is_number_unsigned() && value_->get<std::uint64_t>() > static_cast<std::uint64_t>(kMax);
  auto v = value_->get<std::int64_t>();
  if (beyond || v > high) fail("{} must be at most {}, is {}", where(), high, value_->dump());
  if (v < low) fail("{} must be at least {}, is {}", where(), low, v);
  return v;
}

double JsonReader::number() const {
  if (!value_->is_number()) mismatch("a number");
  return value_->get<double>();
}

bool JsonReader::boolean() const {
  if (!value_->is_boolean()) mismatch("true or false");
  return value_->get<bool>();
}

const std::string& JsonReader::string() const {
  if (!value_->is_string()) mismatch("a string");
  return value_->get_ref<const std::string&>();
}

std::vector<JsonReader> JsonReader::elements() const {
  if (!is_array()) mismatch("an array");
  std::vector<JsonReader> out;
  for (std::size_t i = 0; i < value_->size(); ++i)
    out.push_back({document_, &(*value_)[i], fmt::format("{}[{}]", path_, i)});
  return out;
}

std::vector<std::pair<std::string, JsonReader>> JsonReader::members() const {
  if (!is_object()) mismatch("an object");
  std::vector<std::pair<std::string, JsonReader>> out;
  for (const auto& [key, value] : value_->items()) out.emplace_back(key, member(key, value));
  return out;
}

std::vector<double> JsonReader::numbers() const {
  std::vector<double> out;
  for (const JsonReader& e : elements()) out.push_back(e.number());
  return out;
}

std::vector<std::string> JsonReader::strings() const {
  std::vector<std::string> out;
  for (const JsonReader& e : elements()) out.push_back(e.string());
  return out;
}

std::vector<std::int64_t> JsonReader::integers(std::int64_t low, std::int64_t high) const {
  std::vector<std::int64_t> out;
  for (const JsonReader& e : elements()) out.push_back(e.integer(low, high));
  return out;
}

JsonReader JsonReader::member(const std::string& key, const Json& value) const {
  return {document_, &value, path_.empty() ? key : path_ + "." + key};
}

JsonReader JsonReader::at(std::string_view key) const {
  if (!is_object()) mismatch("an object");
  auto it = value_->find(key);
  if (it == value_->end())
    fail("{}: key {} is missing", document_->file,
         in_quotes(path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key)));
  return member(it.key(), *it);
}

std::optional<JsonReader> JsonReader::find(std::string_view key) const {
  if (!is_object()) mismatch("an object");
  auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return std::nullopt;
  return member(it.key(), *it);
}

std::int64_t JsonReader::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  return at(key).integer(low, high);
}

const std::string& JsonReader::string(std::string_view key) const { return at(key).string(); }

std::int64_t JsonReader::integer_or(std::string_view key, std::int64_t fallback, std::int64_t low,
                                    std::int64_t high) const {
  auto found = find(key);
  return found ? found->integer(low, high) : fallback;
}

double JsonReader::number_or(std::string_view key, double fallback) const {
  auto found = find(key);
  return found ? found->number() : fallback;
}

bool JsonReader::boolean_or(std::string_view key, bool fallback) const {
  auto found = find(key);
  return found ? found->boolean() : fallback;
}

std::string JsonReader::string_or(std::string_view key, std::string_view fallback) const {
  auto found = find(key);
  return found ? found->string() : std::string(fallback);
}

void JsonReader::only(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : members())
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) fail("{} is not known here", value.where());
}

}  // namespace flashrt
