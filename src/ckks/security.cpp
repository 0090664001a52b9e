#include <algorithm>
#include <array>

#include "ckks/parameters.h"

namespace hearth::ckks {
namespace {

/// Largest log2(QP) at 128 bits classical security with error of standard deviation 3.2, for one n.
struct Row {
  int log_n;
  double uniform;     ///< coefficients uniform on {-1, 0, 1}
  double weight_192;  ///< exactly 192 coefficients not zero; 0 where nobody has estimated it
  double weight_512;
};

// Uniform: Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", 2024, table of ternary
// secrets. Fixed weight: lattice-estimator of June 2026, where the hybrid primal attack is the cheapest; the numbers
// found on the way are in docs/bootstrapping.md.
constexpr std::array<Row, 7> kRows = {{
    {11, 53, 0, 0},
    {12, 106, 0, 0},
    {13, 214, 0, 0},
    {14, 430, 400, 424},
    {15, 868, 808, 864},
    {16, 1747, 1635, 1728},
    {17, 3523, 0, 0},
}};

/// Classical security of a sparse ternary secret at a small modulus.
struct SparseRow {
  int log_n;
  int weight;
  double log_qp;
  double bits;
};

// lattice-estimator of June 2026 (malb/lattice-estimator 27a581b), primal hybrid attack with meet in the middle, error
// of standard deviation 3.19, as many samples as n. In ascending modulus for each n.
constexpr std::array<SparseRow, 4> kSparseRows = {{
    {14, 32, 60, 144.7},
    {15, 32, 60, 168.5},
    {15, 32, 90, 156.3},
    {16, 32, 60, 192.0},
}};

const Row* row_for(int log_n) {
  for (const Row& row : kRows) {
    if (row.log_n == log_n) return &row;
  }
  return nullptr;
}

}  // namespace

double max_log_qp_128(int log_n, SecretKind secret, int hamming_weight) {
  const Row* row = row_for(log_n);
  if (row == nullptr) return 0;
  if (secret == SecretKind::kUniformTernary) return row->uniform;
  if (hamming_weight >= 512) return row->weight_512;
  return hamming_weight >= 192 ? row->weight_192 : 0;
}

SecurityReport assess_security(const ParameterSpec& spec, double log_qp) {
  SecurityReport report;
  report.log_qp = log_qp;
  report.limit = max_log_qp_128(spec.log_n, spec.secret, spec.hamming_weight);
  if (report.limit == 0) return report;
  report.at_least_128 = log_qp <= report.limit;
  report.estimated_bits = 128 * report.limit / log_qp;
  report.source = spec.secret == SecretKind::kUniformTernary
                      ? "Security Guidelines for Implementing Homomorphic Encryption, 2024"
                      : "lattice-estimator 2026-06, hybrid primal attack";
  return report;
}

SecurityReport assess_encapsulation(int log_n, int hamming_weight, double log_qp) {
  SecurityReport report;
  report.log_qp = log_qp;
  // A longer or heavier secret is no easier to find, nor is one at a smaller modulus.
  for (const SparseRow& row : kSparseRows) {
    if (row.log_n > log_n || row.weight > hamming_weight || row.bits < 128) continue;
    report.limit = std::max(report.limit, row.log_qp);
    if (row.log_qp >= log_qp) report.estimated_bits = std::max(report.estimated_bits, row.bits);
  }
  report.at_least_128 = report.estimated_bits >= 128;
  if (report.limit > 0) report.source = "lattice-estimator 2026-06, hybrid primal attack with meet in the middle";
  return report;
}

}  // namespace hearth::ckks
