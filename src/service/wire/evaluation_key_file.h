#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "base/container.h"
#include "ckks/keys.h"
#include "service/wire/binding.h"

namespace hearth::service {

/// Progress of a long operation: (done, total) in any unit. May be empty. Calls come from one thread at a time.
using ProgressFunction = std::function<void(double, double)>;

/// Writes an evaluation key file (docs/format_files.md), one key at a time. Nothing appears at the path before
/// finish().
class EvaluationKeyWriter {
 public:
  EvaluationKeyWriter(const std::filesystem::path& path, const Binding& binding, const ckks::ParameterSpec& spec,
                      const ckks::KeyRequest& request);
  /// Keys in the order of key_names(request).
  void add(const ckks::SwitchingKey& key);
  /// Completes the file except for its appearing at the path. Error(kInternal) unless all keys were added.
  void prepare();
  /// prepare(), unless that was done, and lets the file appear.
  void finish();

 private:
  ContainerWriter out_;
  std::vector<ckks::KeyName> names_;
  std::size_t next_ = 0;
  bool prepared_ = false;
};

/// An evaluation key file, opened: kind, sections and the list of keys are checked, keys are read by load(). A secret
/// key file is Error(kSecurity). Thread safe.
class EvaluationKeyFile {
 public:
  explicit EvaluationKeyFile(const std::filesystem::path& path);
  /// From memory that outlives the object; for fuzzing.
  explicit EvaluationKeyFile(std::span<const std::byte> bytes);

  const Binding& binding() const { return binding_; }
  const ckks::ParameterSpec& parameters() const { return spec_; }
  const std::vector<ckks::KeyName>& keys() const { return names_; }
  const std::string& name() const { return file_.name(); }
  /// Tells contents apart, see ContainerReader::table_checksum.
  const Checksum& checksum() const { return file_.table_checksum(); }

  /// Reads the keys in `needed`, several at once; others are left in the file. They are expanded where making their
  /// random halves again and again would slow evaluation down (ring::uniform_is_fast()). Memory: the keys plus one
  /// unexpanded key a thread. Error(kMismatch) for other parameters or when a needed key is missing,
  /// Error(kCorrupt) for damage.
  ckks::EvaluationKeys load(const ckks::Parameters& parameters, const ckks::KeyRequest& needed,
                            const ProgressFunction& progress = {}) const;

  /// What becomes of a key that was read.
  using KeySink = std::function<ckks::SwitchingKey(const ckks::KeyName&, ckks::SwitchingKey)>;
  /// The same with whatever `sink` makes of each key, which is not expanded, one key at a time.
  ckks::EvaluationKeys load_through(const ckks::Parameters& parameters, const ckks::KeyRequest& needed,
                                    const KeySink& sink, const ProgressFunction& progress = {}) const;

 private:
  ckks::EvaluationKeys load(const ckks::Parameters& parameters, const ckks::KeyRequest& needed, const KeySink& sink,
                            bool in_parallel, const ProgressFunction& progress) const;
  void open();
  std::vector<std::size_t> find(const ckks::KeyRequest& needed) const;
  ckks::SwitchingKey read(const ckks::Parameters& parameters, std::size_t index) const;

  ContainerReader file_;
  Binding binding_;
  ckks::ParameterSpec spec_;
  std::vector<ckks::KeyName> names_;
};

}  // namespace hearth::service
