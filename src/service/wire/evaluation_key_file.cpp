#include "service/wire/evaluation_key_file.h"

#include <map>
#include <mutex>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/serialize.h"

namespace hearth::service {
namespace {

constexpr SectionTag kKeySection = section_tag("EKEY");
constexpr std::size_t kMaxKeys = std::size_t{1} << 19;

using ckks::KeyKind;
using ckks::KeyName;

std::string describe(const KeyName& name) {
  switch (name.kind) {
    case KeyKind::kRelinearisation:
      return fmt::format("relinearisation key of set {}", name.set);
    case KeyKind::kGalois:
      return fmt::format("Galois key {} of set {}", name.galois, name.set);
    case KeyKind::kToSparse:
      return "key to the encapsulated secret";
    case KeyKind::kFromSparse:
      return "key from the encapsulated secret";
  }
  return "key";
}

int top_set(const ckks::ParameterSpec& spec) { return static_cast<int>(spec.key_sets.size()) - 1; }

void write_name(ByteWriter& out, const KeyName& name) {
  out.u8(static_cast<std::uint8_t>(name.kind));
  out.i32(name.set);
  out.u32(name.galois);
}

KeyName read_name(ByteReader& in, const ckks::ParameterSpec& spec) {
  KeyName name;
  const std::uint8_t kind = in.u8();
  require(kind <= static_cast<std::uint8_t>(KeyKind::kFromSparse), ErrorKind::kCorrupt,
          "{} holds a key of kind {}, expected 0 to 3", in.what(), kind);
  name.kind = static_cast<KeyKind>(kind);
  name.set = in.i32_in(0, top_set(spec), "key set");
  const std::uint32_t last = (std::uint32_t{2} << spec.log_n) - 1;
  name.galois =
      name.kind == KeyKind::kGalois ? in.u32_in(3, last, "Galois element") : in.u32_in(0, 0, "Galois element");
  return name;
}

}  // namespace

EvaluationKeyWriter::EvaluationKeyWriter(const std::filesystem::path& path, const Binding& binding,
                                         const ckks::ParameterSpec& spec, const ckks::KeyRequest& request)
    : out_(path, FileKind::kEvaluationKeys), names_(ckks::key_names(request, top_set(spec))) {
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
  std::map<KeyName, std::size_t> places;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const bool fresh = places.emplace(names_[i], i).second;
    require(fresh, ErrorKind::kCorrupt, "{} holds the {} twice", name(), describe(names_[i]));
  }
  std::vector<std::size_t> found;
  for (const KeyName& key : ckks::key_names(needed, top_set(spec_))) {
    const auto place = places.find(key);
    require(place != places.end(), ErrorKind::kMismatch,
            "{} lacks the {}, which the model needs: make keys from the client bundle of the same compilation", name(),
            describe(key));
    found.push_back(place->second);
  }
  return found;
}

ckks::SwitchingKey EvaluationKeyFile::read(const ckks::Parameters& parameters, std::size_t index) const {
  SectionData section(file_, file_.sections()[index + 2]);
  ckks::SwitchingKey key = ckks::read_switching_key(section.in, parameters, false);
  section.in.expect_end();
  require(key.set == names_[index].set, ErrorKind::kCorrupt, "{}: the {} is stored as a key of set {}", name(),
          describe(names_[index]), key.set);
  return key;
}

ckks::EvaluationKeys EvaluationKeyFile::load(const ckks::Parameters& parameters, const ckks::KeyRequest& needed,
                                             const ProgressFunction& progress) const {
  const bool expand = !ring::uniform_is_fast();
  const auto keep = [&](const KeyName&, ckks::SwitchingKey key) {
    if (expand) key.expand(parameters);
    return key;
  };
  return load(parameters, needed, keep, true, progress);
}

ckks::EvaluationKeys EvaluationKeyFile::load_through(const ckks::Parameters& parameters, const ckks::KeyRequest& needed,
                                                     const KeySink& sink, const ProgressFunction& progress) const {
  return load(parameters, needed, sink, false, progress);
}

ckks::EvaluationKeys EvaluationKeyFile::load(const ckks::Parameters& parameters, const ckks::KeyRequest& needed,
                                             const KeySink& sink, bool in_parallel,
                                             const ProgressFunction& progress) const {
  require(binding_.parameters_id == parameters.id(), ErrorKind::kMismatch,
          "{} was made with parameters {:016x}, expected {:016x}: make keys from the client bundle of the same "
          "compilation",
          name(), binding_.parameters_id, parameters.id());
  const std::vector<std::size_t> wanted = find(needed);
  ckks::EvaluationKeys keys;
  keys.parameters_id = parameters.id();
  const auto bytes = [&](std::size_t i) { return static_cast<double>(file_.sections()[i + 2].length); };
  double done = 0, total = 0;
  for (const std::size_t i : wanted) total += bytes(i);
  std::mutex mutex;
  const auto one = [&](std::size_t i) {
    const KeyName& name = names_[wanted[i]];
    ckks::SwitchingKey key = sink(name, read(parameters, wanted[i]));
    const std::lock_guard lock(mutex);
    keys.insert(name, std::move(key));
    done += bytes(wanted[i]);
    if (progress) progress(done, total);
  };
  if (in_parallel) {
    parallel_for(0, wanted.size(), one);
  } else {
    for (std::size_t i = 0; i < wanted.size(); ++i) one(i);
  }
  return keys;
}

}  // namespace hearth::service
