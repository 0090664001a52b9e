#pragma once

#include "ckks/bootstrap/bootstrapper.h"

namespace hearth::compiler {

/// Seconds of the steps that homomorphic operations are made of, for one residue polynomial (limb) of a ring, on one
/// thread.
struct LimbCosts {
  double transform = 0;  ///< one NTT
  double convert = 0;    ///< base conversion, one source limb to one target limb
  double product = 0;    ///< multiply and accumulate
  double pass = 0;       ///< one element-wise operation or automorphism
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
  double diagonal = 0;  ///< one diagonal times a pair over QP
  double rotate() const { return raise + multiply + 2 * mod_down + permute; }
  double baby() const { return multiply + permute; }
  double giant() const { return mod_down + raise + multiply + permute; }
};

/// Predicted time of one bootstrap of `ciphertexts` (1 or 2) with a series of so many coefficients, on one thread.
double bootstrap_seconds(const ckks::ParameterSpec& parameters, const ckks::BootstrapSpec& spec, int coefficients,
                         int ciphertexts, const LimbCosts& costs);

}  // namespace hearth::compiler
