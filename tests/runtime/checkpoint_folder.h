#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "runtime/checkpoint.h"
#include "tests/base/expect_error.h"
#include "tests/base/temporary_folder.h"
#include "tests/compiler/tiny_program.h"

/// Checkpoints of a made-up run in a folder for the time of a test.
namespace hearth::runtime::testing {
namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;
using ckks::Ciphertext;
using Tensor = std::vector<Ciphertext>;

/// x, a = f(x), b = g(a), c = b + a, d = c + c: a is needed for two more instructions. Only its shape matters.
inline compiler::Program program() {
  using namespace compiler;  // NOLINT: the program's vocabulary
  Program out;
  out.model = "tiny";
  out.parameters = hearth::testing::tiny_spec(4);
  const auto add = [&](const char* name, Op op, int level) {
    out.instructions.push_back({.name = name,
                                .op = std::move(op),
                                .ciphertexts = level == 1 ? 2 : 1,
                                .work_level = level,
                                .level = level,
                                .scale = 0x1p28 + level});
  };
  add("x", InputOp{}, 2);
  add("a", QuadraticOp{.x = 0}, 1);
  add("b", QuadraticOp{.x = 1}, 0);
  add("c", AddOp{.a = 2, .b = 1}, 0);
  add("d", AddOp{.a = 3, .b = 3}, 0);
  out.output = 4;
  return out;
}

inline RunIdentity identity() {
  RunIdentity out;
  out.model = "tiny";
  out.model_id = {1, 2, 3};
  out.parameters_id = 7;
  out.key_id = {4, 5, 6};
  out.keys = {std::byte{8}};
  out.input = {std::byte{9}};
  out.inputs = 2;
  out.program = "1.2.3";
  return out;
}

/// Without waiting for the disk.
inline void overwrite(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline Bytes bytes_of(const Tensor& tensor) {
  ByteWriter out;
  for (const Ciphertext& c : tensor) {
    for (const ring::Poly& part : c.parts) {
      for (std::size_t i = 0; i < part.limbs(); ++i)
        out.span(std::span<const std::uint32_t>(part.limb(i), part.size()));
    }
  }
  return out.take();
}

inline constexpr CheckpointPolicy kAlways{.every = 0, .expected_seconds = 0, .worth = 0};

class CheckpointFolder : public ::testing::Test {
 protected:
  CheckpointFolder() : parameters_(ckks::Parameters::create(program_.parameters)) {}

  fs::path folder() const { return outer_ / "kept"; }
  fs::path path(const std::string& name) const { return folder() / name; }
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder())) out.insert(entry.path().filename().string());
    out.erase("lock");
    out.erase("made");
    out.erase("manifest.hearth");
    return out;
  }

  Checkpoint open(const RunIdentity& who = identity(), CheckpointPolicy policy = kAlways) const {
    return {folder(), who, program_, *parameters_, policy};
  }

  /// Something of the right shape, different for every input and instruction.
  Tensor value(std::uint32_t input, std::size_t instruction) const {
    const compiler::Instruction& ins = program_.instructions[instruction];
    Tensor out;
    for (int i = 0; i < ins.ciphertexts; ++i) {
      Ciphertext c{.parts = {}, .level = ins.level, .scale = ins.scale, .parameters_id = parameters_->id()};
      ring::Seed seed{};
      seed[0] = static_cast<std::uint8_t>(16 * input + instruction);
      for (std::uint64_t part = 0; part < 2; ++part) {
        c.parts.push_back(ring::sample_uniform(parameters_->ring(), parameters_->q_basis(ins.level), ring::Domain::kNtt,
                                               seed, 2 * static_cast<std::uint64_t>(i) + part));
      }
      out.push_back(std::move(c));
    }
    return out;
  }

  void save(Checkpoint& kept, std::size_t done) const {
    const std::uint32_t input = kept.input();
    std::map<std::size_t, Tensor> held;
    const ResultLookup look = [&](std::size_t i) -> const Tensor& { return held[i] = value(input, i); };
    std::vector<double> seconds;
    for (std::size_t i = 0; i < done; ++i) seconds.push_back(0.5 + static_cast<double>(input) + static_cast<double>(i));
    kept.save(done, seconds, look);
  }

  /// Input 0 done, and three instructions of input 1: an output and two live values.
  void fill() const {
    Checkpoint kept = open();
    save(kept, 5);
    save(kept, 3);
  }

  compiler::Program program_ = program();
  ckks::ParametersPtr parameters_;
  TemporaryFolder outer_;
};

}  // namespace hearth::runtime::testing
