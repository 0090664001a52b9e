// Lists of evaluation keys, which both bundles hold.
#include <algorithm>
#include <cstdint>

#include "base/error.h"
#include "compiler/program/program_bytes.h"

namespace hearth::compiler {

constexpr std::size_t kMaxGaloisKeys = 0xffffffff;  // the bytes left are the only bound

void write_keys(ByteWriter& out, const ckks::KeyRequest& value) {
  out.u32(static_cast<std::uint32_t>(value.relinearisation_sets.size()));
  for (const int set : value.relinearisation_sets) out.i32(set);
  out.u32(static_cast<std::uint32_t>(value.galois.size()));
  for (const auto& [set, element] : value.galois) {
    out.i32(set);
    out.u32(element);
  }
  out.boolean(value.encapsulation);
}

ckks::KeyRequest read_keys(ByteReader& in, const ckks::Parameters& parameters) {
  const int last_set = parameters.key_set_count() - 1;
  const auto last_element = static_cast<std::uint32_t>(2 * parameters.n() - 1);
  ckks::KeyRequest out;
  const std::size_t sets = in.read_count(static_cast<std::size_t>(last_set) + 1, "relinearisation keys", 4);
  for (std::size_t i = 0; i < sets; ++i) out.relinearisation_sets.push_back(in.i32_in(0, last_set, "key set"));
  const std::size_t count = in.read_count(kMaxGaloisKeys, "Galois keys", 8);
  out.galois.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const int set = in.i32_in(0, last_set, "key set");
    const std::uint32_t element = in.u32_in(3, last_element, "Galois element");
    require(element % 2 == 1, ErrorKind::kCorrupt, "{} has the even Galois element {}", in.what(), element);
    out.galois.emplace_back(set, element);
  }
  out.encapsulation = in.boolean();
  auto sorted_sets = out.relinearisation_sets;
  std::sort(sorted_sets.begin(), sorted_sets.end());
  auto sorted = out.galois;
  std::sort(sorted.begin(), sorted.end());
  require(std::adjacent_find(sorted_sets.begin(), sorted_sets.end()) == sorted_sets.end() &&
              std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end(),
          ErrorKind::kCorrupt, "{} lists an evaluation key twice", in.what());
  return out;
}

}  // namespace hearth::compiler
