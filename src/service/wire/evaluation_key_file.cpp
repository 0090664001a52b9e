#include "service/wire/evaluation_key_file.h"

#include <map>
#include <mutex>
#include <tuple>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/serialize.h"

namespace hearth::service {
namespace {

constexpr SectionTag kKeySection = section_tag("EKEY");
constexpr std::size_t kMaxKeys = std::size_t{1} << 19;

using KeyTuple = std::tuple<bool, int, std::uint32_t>;

KeyTuple as_tuple(const KeyName& name) { return {name.relinearisation, name.set, name.galois}; }

std::string describe(const KeyName& name) {
  return name.relinearisation ? fmt::format("relinearisation key of set {}", name.set)
                              : fmt::format("Galois key {} of set {}", name.galois, name.set);
}

void write_name(ByteWriter& out, const KeyName& name) {
  out.boolean(name.relinearisation);
  out.i32(name.set);
  out.u32(name.galois);
}

KeyName read_name(ByteReader& in, const ckks::ParameterSpec& spec) {
  KeyName name;
  name.relinearisation = in.boolean();
  name.set = in.i32_in(0, static_cast<int>(spec.key_sets.size()) - 1, "key set");
  const std::uint32_t last = (std::uint32_t{2} << spec.log_n) - 1;
  name.galois = name.relinearisation ? in.u32_in(0, 0, "Galois element") : in.u32_in(3, last, "Galois element");
  return name;
}

void insert(ckks::EvaluationKeys& keys, const KeyName& name, ckks::SwitchingKey key) {
  if (name.relinearisation) {
    keys.relinearisation[name.set] = std::move(key);
  } else {
    keys.galois[{name.set, name.galois}] = std::move(key);
  }
}

}  // namespace

std::vector<KeyName> key_names(const ckks::KeyRequest& request) {
  std::vector<KeyName> names;
  for (const int set : request.relinearisation_sets) names.push_back({.relinearisation = true, .set = set});
  for (const auto& [set, element] : request.galois) names.push_back({.set = set, .galois = element});
  return names;
}

EvaluationKeyWriter::EvaluationKeyWriter(const std::filesystem::path& path, const Binding& binding,
                                         const ckks::ParameterSpec& spec, const ckks::KeyRequest& request)
    : out_(path, FileKind::kEvaluationKeys), names_(key_names(request)) {
  require(names_.size() <= kMaxKeys, ErrorKind::kResource, "{} evaluation keys do not fit a file, at most {} do",
          names_.size(), kMaxKeys);
  out_.add_section(kHeadSection, [&](ByteWriter& bytes) {
    write_binding(bytes, binding);
    bytes.u32(static_cast<std::uint32_t>(names_.size()));
    for (const KeyName& name : names_) write_name(bytes, name);
  });
  write_parameter_section(out_, spec);
}

void EvaluationKeyWriter::add(const ckks::SwitchingKey& key) {
  require(next_ < names_.size() && names_[next_].set == key.set, ErrorKind::kInternal,
          "evaluation key {} of {} written out of order", next_, names_.size());
  out_.add_section(kKeySection, [&](ByteWriter& bytes) { ckks::write(bytes, key); });
  ++next_;
}

void EvaluationKeyWriter::prepare() {
  require(next_ == names_.size(), ErrorKind::kInternal, "{} of {} evaluation keys were written", next_, names_.size());
  out_.prepare();
  prepared_ = true;
}

void EvaluationKeyWriter::finish() {
  if (!prepared_) prepare();
  out_.finish();
}

EvaluationKeyFile::EvaluationKeyFile(const std::filesystem::path& path) : file_(path) { open(); }
EvaluationKeyFile::EvaluationKeyFile(std::span<const std::byte> bytes) : file_(bytes, "evaluation keys") { open(); }

void EvaluationKeyFile::open() {
  require_public_kind(file_, FileKind::kEvaluationKeys);
  spec_ = read_parameter_section(file_);
  SectionData head(file_, file_.section(kHeadSection));
  binding_ = read_binding(head.in);
  const std::size_t count = head.in.read_count(kMaxKeys, "evaluation keys", 9);
  for (std::size_t i = 0; i < count; ++i) names_.push_back(read_name(head.in, spec_));
  head.in.expect_end();
  require_sections(file_, {kHeadSection, kParameterSection}, kKeySection, count);
}

std::vector<std::size_t> EvaluationKeyFile::find(const ckks::KeyRequest& needed) const {
  std::map<KeyTuple, std::size_t> places;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const bool fresh = places.emplace(as_tuple(names_[i]), i).second;
    require(fresh, ErrorKind::kCorrupt, "{} holds the {} twice", name(), describe(names_[i]));
  }
  std::vector<std::size_t> found;
  for (const KeyName& key : key_names(needed)) {
    const auto place = places.find(as_tuple(key));
    require(place != places.end(), ErrorKind::kMismatch,
            "{} lacks the {}, which the model needs: make keys from the client bundle of the same compilation", name(),
            describe(key));
    found.push_back(place->second);
  }
  return found;
}

ckks::SwitchingKey EvaluationKeyFile::read(const ckks::Parameters& parameters, std::size_t index) const {
  SectionData section(file_, file_.sections()[index + 2]);
  ckks::SwitchingKey key = ckks::read_switching_key(section.in, parameters, true);
  section.in.expect_end();
  require(key.set == names_[index].set, ErrorKind::kCorrupt, "{}: the {} is stored as a key of set {}", name(),
          describe(names_[index]), key.set);
  return key;
}

ckks::EvaluationKeys EvaluationKeyFile::load(const ckks::Parameters& parameters, const ckks::KeyRequest& needed,
                                             const ProgressFunction& progress) const {
  require(binding_.parameters_id == parameters.id(), ErrorKind::kMismatch,
          "{} was made with parameters {:016x}, expected {:016x}: make keys from the client bundle of the same "
          "compilation",
          name(), binding_.parameters_id, parameters.id());
  const std::vector<std::size_t> wanted = find(needed);
  ckks::EvaluationKeys keys;
  keys.parameters_id = parameters.id();
  std::mutex mutex;
  double done = 0;
  parallel_for(0, wanted.size(), [&](std::size_t i) {
    ckks::SwitchingKey key = read(parameters, wanted[i]);
    const std::lock_guard lock(mutex);
    insert(keys, names_[wanted[i]], std::move(key));
    if (progress) progress(++done, static_cast<double>(wanted.size()));
  });
  return keys;
}

}  // namespace hearth::service
