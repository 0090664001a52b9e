#pragma once

#include <vector>

#include "ckks/bootstrap/bootstrapper.h"

namespace hearth::compiler {

/// Seconds of the steps that homomorphic operations are made of, for one residue polynomial (limb) of a ring, on one
/// thread.
struct LimbCosts {
  double transform = 0;  ///< one NTT
  double convert = 0;    ///< base conversion, one source limb to one target limb
  double product = 0;    ///< multiply and accumulate
  double pass = 0;       ///< one element-wise operation or automorphism
  double fetch = 0;      ///< price of one more limb of keys or encoded diagonals that a bootstrap reads
};

/// As measured on an AVX-512 server. What is chosen by costs must not change from one compilation to the next, and the
/// ratios, which are all that matters, differ little between machines.
LimbCosts typical_limbs(int log_n);

/// Counts of a key switch at a level with `q` primes, digits of `digit` primes and `special` special primes.
struct SwitchCosts {
  SwitchCosts(int q, int digit, int special, const LimbCosts& costs);
  double raise = 0;     ///< decomposing and raising a polynomial (hoisting)
  double multiply = 0;  ///< digits times key, over QP
  double mod_down = 0;  ///< one polynomial back from QP
  double permute = 0;   ///< automorphism of a pair over QP
  double rescale = 0;   ///< a pair
  double rotate() const { return raise + multiply + 2 * mod_down + permute; }
  double baby() const { return multiply + permute; }
  double giant() const { return mod_down + raise + multiply + permute; }
};

/// Predicted time of one bootstrap of `ciphertexts` (1 or 2) with a series of so many coefficients, on one thread.
double bootstrap_seconds(const ckks::ParameterSpec& parameters, const ckks::BootstrapSpec& spec, int coefficients,
                         int ciphertexts, const LimbCosts& costs);

/// The price of the keys and encoded diagonals that the factors of both embeddings of one bootstrap read (of keys a
/// half, as the other one comes from its seed). Not part of bootstrap_seconds.
double embedding_fetch_seconds(const ckks::ParameterSpec& parameters, const ckks::BootstrapSpec& spec,
                               const LimbCosts& costs);

/// The radices of so many factors that make an embedding of vectors of period 2^log_period cheapest, its time and the
/// price of what it reads taken together; the first in lexicographic order among equals. Needs `parameters` with
/// `factors` levels, and factors <= log_period <= ckks::kLargestRadix * factors.
std::vector<int> cheapest_stc_radices(const ckks::ParameterSpec& parameters, int log_period, int factors,
                                      const LimbCosts& costs);
std::vector<int> cheapest_cts_radices(const ckks::ParameterSpec& parameters, int log_period, int factors,
                                      const LimbCosts& costs);

}  // namespace hearth::compiler
