#include "cli/common/class_names.h"

#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace hearth::cli {
namespace {

constexpr std::uint64_t kMaxFileBytes = 16 << 20;
constexpr std::string_view kBlank = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(kBlank) + 1 - first);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  const std::size_t last = text.find_last_not_of(kBlank);
  text = text.substr(0, last == text.npos ? 0 : last + 1);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out.emplace_back(trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// "tench", or ["n01440764", "tench"].
std::optional<std::string> name_in(const Json& entry) {
  const Json& name = entry.is_array() && entry.size() == 2 ? entry[1] : entry;
  if (!name.is_string()) return std::nullopt;
  return std::string(trimmed(name.get_ref<const std::string&>()));
}

/// The place of a key such as "17" among `count`, if it is one.
std::optional<std::size_t> index_of(const std::string& key, std::size_t count) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error != std::errc() || end != key.data() + key.size() || index >= count) return std::nullopt;
  return index;
}

std::vector<std::string> names_in_object(const Json& json, const std::string& file) {
  std::vector<std::string> out(json.size());
  std::vector<bool> seen(json.size());
  for (const auto& [key, value] : json.items()) {
    const auto index = index_of(key, json.size());
    require(index && !seen[*index], ErrorKind::kCorrupt,
            "{} has {} entries, among them \"{}\": expected each of the numbers 0 to {} once", file, json.size(), key,
            json.size() - 1);
    const auto name = name_in(value);
    require(name.has_value(), ErrorKind::kCorrupt, "{}: class {} must be a name, or a list of an id and a name", file,
            key);
    seen[*index] = true;
    out[*index] = *name;
  }
  return out;
}

std::vector<std::string> names_in_list(const Json& json, const std::string& file) {
  std::vector<std::string> out;
  for (const Json& entry : json) {
    require(entry.is_string(), ErrorKind::kCorrupt, "{}: class {} must be a name", file, out.size());
    out.emplace_back(trimmed(entry.get_ref<const std::string&>()));
  }
  return out;
}

std::vector<std::string> names_in_json(std::string_view text, const std::string& file) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  require(!json.is_discarded(), ErrorKind::kCorrupt,
          "{} begins like JSON but is none; JSON or a name a line is expected", file);
  return json.is_object() ? names_in_object(json, file) : names_in_list(json, file);
}

}  // namespace

void add_class_options(CLI::App& app, ClassOptions& options) {
  auto* file = app.add_option("--classes", options.file,
                              "Names of the classes for decrypt to print: a name a line, or JSON, a list of names or "
                              "{\"0\": [\"id\", \"name\"], ...}")
                   ->type_name("FILE");
  app.add_option(
         "--class-offset", options.offset,
         "The model has K more outputs, the first, than the file has names: 1 for models trained with TensorFlow "
         "that begin with \"background\"")
      ->check(CLI::Range(0, 1000))
      ->needs(file)
      ->type_name("K");
}

std::vector<std::string> parse_class_names(std::string_view text, const std::string& name) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  const std::string_view content = trimmed(text);
  const bool json = content.starts_with('{') || content.starts_with('[');
  std::vector<std::string> names = json ? names_in_json(content, name) : lines_of(text);
  require(!names.empty(), ErrorKind::kCorrupt, "{} has no names of classes", name);
  for (std::size_t i = 0; i < names.size(); ++i) {
    require(!names[i].empty() && names[i].size() <= kMaxClassName && is_plain_text(names[i]), ErrorKind::kCorrupt,
            "{}: the name of class {} must be 1 to {} bytes of UTF-8 without control characters", name, i,
            kMaxClassName);
  }
  return names;
}

std::vector<std::string> read_class_names(const ClassOptions& options, std::size_t outputs) {
  if (options.file.empty()) return {};
  const std::vector<std::byte> bytes = read_file(options.file, kMaxFileBytes);
  const std::vector<std::string> names =
      parse_class_names({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, options.file);
  const auto offset = static_cast<std::size_t>(options.offset);
  require(names.size() + offset == outputs, ErrorKind::kMismatch,
          "{} names {} classes and --class-offset is {}, but the model has {} outputs{}", options.file, names.size(),
          offset, outputs,
          names.size() + 1 == outputs ? ": if the first of them is a background class, give --class-offset 1"
                                      : ": give the file that belongs to the model");
  std::vector<std::string> out(offset, "background");
  out.insert(out.end(), names.begin(), names.end());
  return out;
}

}  // namespace hearth::cli
