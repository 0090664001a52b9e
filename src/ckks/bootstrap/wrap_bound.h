#pragma once

namespace hearth::ckks {

/// How far ModRaise goes out of range. A raised ciphertext decrypts to m + q0 I: a coefficient t = (m + q0 I) / q0 is
/// c0 + c1 s over q0, a sum of h + 1 numbers uniform on (-1/2, 1/2) when s is ternary of weight h (c0, c1 uniform,
/// Ring-LWE). Evaluating a periodic function on |t| <= K fails when some |t| is larger.

/// log2 P(|U_1 + .. + U_terms| > limit), U_i independent and uniform on (-1/2, 1/2). -infinity when impossible.
/// Relative error of the probability below 1e-9. terms in [8, 65536], limit at least 0.5, or Error(kInvalidArgument).
double log2_sum_tail(int terms, double limit);

/// log2 of a bound (the union bound) on the probability that any of 2^log_n coefficients leaves [-bound, bound] in any
/// of `bootstraps` bootstraps, for messages spread over the whole of (-q0/2, q0/2); at most 0.
double log2_wrap_probability(int hamming_weight, int log_n, double bootstraps, double bound);

/// The same for the worst message in every coefficient: one slightly above 0 reaches K + 0 from sums above K - 1/2, on
/// one side. Series for |t| <= K still hold there, a little beyond K, so this is where their margin is used, not where
/// they fail; docs/bootstrapping.md.
double log2_wrap_probability_worst_message(int hamming_weight, int log_n, double bootstraps, double bound);

/// Smallest integer K with log2_wrap_probability(.., K) <= log2_target; at most (h + 1) / 2 rounded up, where nothing
/// can fail. log2_target must be negative.
int smallest_wrap_bound(int hamming_weight, int log_n, double bootstraps, double log2_target);

}  // namespace hearth::ckks
