#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ckks/parameters.h"
#include "ckks/row_source.h"
#include "ring/random.h"

namespace hearth::ckks {

/// Encryption of zero under the secret: (b, a) on the top-level Q basis, NTT domain. a is the expansion of `seed`.
struct PublicKey {
  ring::Poly b, a;
  ring::Seed seed{};
  std::uint64_t parameters_id = 0;
};

/// Key from one secret s' to another: for digit d, b_d = -a_d s + e_d + P g_d s' on qp_basis(max_level(set), set), NTT
/// domain, both halves in Montgomery form. Only b and the seed are stored in files; `a` is the expansion of the seed:
/// sample_uniform(seed, stream 1000 * d) read as Montgomery form.
struct SwitchingKey {
  int set = 0;
  std::vector<ring::Poly> b;
  std::vector<ring::Poly> a;  ///< empty unless expand()ed: key switching makes it limb by limb where it needs it
  ring::Seed seed{};
  /// Where `b` is instead of in memory, if not null; `b` is empty then.
  std::shared_ptr<const RowSource> rows;

  std::size_t digits() const { return rows ? rows->rows() : b.size(); }
  void expand(const Parameters& parameters);  ///< fills `a`
  /// Residues of `a` for digit `digit` modulo ring prime `prime`: parameters.n() words.
  void fill_a(const Parameters& parameters, std::size_t digit, int prime, std::uint32_t* out) const;
  std::size_t bytes() const;  ///< in memory now, `rows` not counted
};

/// What a key switches from and to, s being the main secret and s' the encapsulated sparse one. Values are those of
/// files.
enum class KeyKind : std::uint8_t {
  kGalois = 0,           ///< s to s(X^{1/g})
  kRelinearisation = 1,  ///< s^2 to s
  kToSparse = 2,         ///< s to s', in key set 0 (the base modulus and one special prime) only
  kFromSparse = 3        ///< s' to s
};

/// One key of a KeyRequest.
struct KeyName {
  KeyKind kind = KeyKind::kGalois;
  int set = 0;
  std::uint32_t galois = 0;  ///< Galois element; 0 for other kinds
  auto operator<=>(const KeyName&) const = default;
};

/// Which evaluation keys a program needs. Relinearisation keys: one per set listed.
struct KeyRequest {
  std::vector<int> relinearisation_sets;
  std::vector<std::pair<int, std::uint32_t>> galois;  ///< (set, g)
  bool encapsulation = false;                         ///< the pair that ModRaise needs
  bool operator==(const KeyRequest&) const = default;
};

/// The keys of a request in the order of files: relinearisation, Galois (each as listed), encapsulation. `top_set`:
/// the last key set of the parameters.
std::vector<KeyName> key_names(const KeyRequest& request, int top_set);

/// All evaluation keys of one client. Public as far as secrecy goes; immutable once made, thread safe to read.
/// A Galois key for g switches from s to s(X^{g^-1}) so that a rotation is: key switch first, automorphism after (the
/// digits of a hoisted ciphertext are then used unpermuted for every rotation).
struct EvaluationKeys {
  std::uint64_t parameters_id = 0;
  std::map<int, SwitchingKey> relinearisation;
  std::map<std::pair<int, std::uint32_t>, SwitchingKey> galois;
  std::optional<SwitchingKey> to_sparse, from_sparse;

  void insert(const KeyName& name, SwitchingKey key);
  /// Throws Error(kMismatch) naming the rotation (and set) that is missing.
  const SwitchingKey& relin(int set) const;
  const SwitchingKey& rotation(int set, std::uint32_t g) const;
  /// The pair of ModRaise: first s to s', then back.
  std::pair<const SwitchingKey&, const SwitchingKey&> encapsulation() const;
  std::size_t bytes() const;
};

}  // namespace hearth::ckks
