// The ring's kernels on one core, for every instruction set of this machine. Operands of one call fit the second-level
// cache unless the name says "streamed": then every row is read from main memory.
#include <fmt/format.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "bench/report.h"
#include "ring/kernels/kernels.h"
#include "ring/ntt.h"
#include "ring/packed.h"
#include "ring/poly.h"

namespace hearth::ring {
namespace {

constexpr int kLogN = 16;
constexpr std::size_t kN = std::size_t{1} << kLogN;
constexpr std::size_t kRows = 8;
constexpr std::size_t kStreamedRows = 512;

struct Rows {
  Rows(std::size_t count, std::size_t length, std::uint32_t bound) {
    std::mt19937 random(1);
    for (std::size_t i = 0; i < count; ++i) {
      storage.emplace_back(length);
      for (auto& word : storage.back().span()) word = static_cast<std::uint32_t>(random()) % bound;
      pointers.push_back(storage.back().data());
    }
  }
  std::vector<Buffer<std::uint32_t>> storage;
  std::vector<std::uint32_t*> pointers;
};

/// What all instruction sets work on.
struct Setup {
  Setup()
      : primes(ntt_primes(kLogN, 30, 40)),
        ring(kLogN, primes),
        x(kRows, kN, ring.modulus(0).q),
        y(kRows, kN, ring.modulus(0).q),
        converted(32, kN, 1 << 30),
        streamed(kStreamedRows, kN, ring.modulus(0).q),
        eight_to_32(ring, {32, 33, 34, 35, 36, 37, 38, 39}, basis(0, 32)),
        one_to_4(ring, {32}, basis(0, 4)) {}
  static Basis basis(int first, int end) {
    Basis b;
    for (int i = first; i < end; ++i) b.push_back(i);
    return b;
  }
  std::vector<std::uint32_t> primes;
  Ring ring;
  Rows x, y, converted, streamed;
  BaseConverter eight_to_32, one_to_4;
};

struct Case {
  std::string name;
  int repetitions;
  double words;  ///< 32-bit words read and written, for the bandwidth column
  std::function<void(const Kernels&)> body;
};

std::vector<Case> transforms(Setup& s) {
  std::vector<Case> cases;
  for (const int log_n : {8, 11, 12, 13, 14, 15, 16}) {
    const NttTables& t = s.ring.ntt(0, log_n);
    const double words = 2.0 * static_cast<double>(1U << log_n);
    const int repetitions = log_n == 16 ? 3000 : 1000;
    const std::string name = "ntt_" + std::to_string(1 << log_n);
    std::uint32_t* x = s.converted.pointers[0];
    cases.push_back({name + "_fwd_us", repetitions, words, [=, &t](const Kernels& k) { k.ntt_forward(x, t); }});
    cases.push_back({name + "_inv_us", repetitions, words, [=, &t](const Kernels& k) { k.ntt_inverse(x, t); }});
  }
  return cases;
}

std::vector<Case> products(Setup& s) {
  const Modulus& m = s.ring.modulus(0);
  std::uint32_t* out = s.converted.pointers[0];
  const std::uint32_t *const *a = s.x.pointers.data(), *const *b = s.y.pointers.data();
  const auto* a0 = a[0];
  const auto* b0 = b[0];
  const std::uint32_t w = m.q / 3, w_shoup = shoup(w, m);
  const double n = static_cast<double>(kN);
  std::vector<Case> cases = {
      {"add_us", 1000, 3 * n, [=](const Kernels& k) { k.add(out, a0, b0, kN, m); }},
      {"mul_us", 1000, 3 * n, [=](const Kernels& k) { k.mul(out, a0, b0, kN, m); }},
      {"mul_scalar_us", 1000, 2 * n, [=](const Kernels& k) { k.mul_scalar(out, a0, w, w_shoup, kN, m); }},
      {"sub_mul_scalar_us", 1000, 3 * n, [=](const Kernels& k) { k.sub_mul_scalar(out, a0, b0, w, w_shoup, kN, m); }},
      {"automorphism_us", 1000, 2 * n, [=](const Kernels& k) { k.automorphism(out, a0, 5, kLogN); }},
      {"unpack_us", 1000, n + static_cast<double>(packed_words(kN)), [=](const Kernels& k) { k.unpack(out, a0, kN); }},
      {"dot_3_us", 500, 7 * n, [=](const Kernels& k) { k.dot(out, a, b, 3, 0, false, kN, m); }},
      {"dot_8_us", 300, 17 * n, [=](const Kernels& k) { k.dot(out, a, b, 8, 0, false, kN, m); }},
      {"dot_8_runs_of_1024_us", 300, 9 * n, [=](const Kernels& k) { k.dot(out, a, b, 8, 10, false, kN, m); }},
      {"dot_8_runs_of_4_us", 300, 11 * n, [=](const Kernels& k) { k.dot(out, a, b, 8, 2, false, kN, m); }},
  };
  cases.push_back({"dot_packed_3_us", 500, 7 * n, [=](const Kernels& k) { k.dot_packed(out, a, b, 3, false, kN, m); }});
  // Each call reads another eighth of 128 MiB, as key switching reads its keys.
  const auto next = std::make_shared<std::size_t>(0);
  cases.push_back({"dot_8_streamed_us", 300, 17 * n, [=, &s](const Kernels& k) {
                     k.dot(out, a, s.streamed.pointers.data() + *next, 8, 0, false, kN, m);
                     *next = (*next + 8) % kStreamedRows;
                   }});
  return cases;
}

std::vector<Case> conversions(Setup& s) {
  const double n = static_cast<double>(kN);
  auto convert = [&s](const BaseConverter& c, const Kernels& k) {
    k.base_convert(s.converted.pointers.data(), s.x.pointers.data(), c.view(), kN);
  };
  return {{"base_convert_8_to_32_us", 50, 40 * n, [=, &s](const Kernels& k) { convert(s.eight_to_32, k); }},
          {"base_convert_1_to_4_us", 300, 5 * n, [=, &s](const Kernels& k) { convert(s.one_to_4, k); }}};
}

void run(bench::Report& report) {
  Setup setup;
  std::vector<Case> cases = transforms(setup);
  for (auto& c : products(setup)) cases.push_back(std::move(c));
  for (auto& c : conversions(setup)) cases.push_back(std::move(c));
  fmt::print("{:<26} {:<8} {:>12} {:>12} {:>10}\n", "kernel, N = 2^16", "isa", "minimum us", "median us", "GB/s");
  for (const Case& c : cases) {
    for (const char* isa : {"scalar", "avx2", "avx512"}) {
      const Kernels* k = kernels_for(isa);
      if (!k) continue;
      const bool best = k == &kernels();
      const auto timing = bench::measure(best ? c.repetitions : c.repetitions / 10 + 3, [&] { c.body(*k); });
      fmt::print("{:<26} {:<8} {:>12.2f} {:>12.2f} {:>10.1f}\n", c.name, isa, timing.minimum, timing.median,
                 c.words * 4e-3 / timing.minimum);
      if (best) report.add(c.name, timing.minimum, "us", isa);
    }
  }
}

}  // namespace
}  // namespace hearth::ring

int main(int argc, char** argv) {
  hearth::bench::Report report("kernels", argc, argv);
  hearth::ring::run(report);
  return report.finish();
}
