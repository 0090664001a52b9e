#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "compiler/program/layer_matrix.h"
#include "nn/graph.h"

namespace hearth::compiler {

/// One non-zero weight: out[row] += weight * in[column].
struct Weight {
  std::int32_t row = 0;
  std::int32_t column = 0;
  double weight = 0;
};

/// y = A x + bias on flattened tensors, A sparse. Weights are sorted by (row, column), distinct and non-zero.
struct Affine {
  std::int64_t rows = 0, columns = 0;
  std::vector<Weight> weights;
  std::vector<double> bias;  ///< rows entries
};

/// Whether an operator is affine in its single input (so that to_affine accepts it).
bool is_affine(const nn::Op& op);

/// The matrix of an affine operator (Conv2d, Dense, MulConstant, AddConstant, BatchNorm, AveragePool,
/// GlobalAveragePool, ReduceMean, Pad). Throws Error(kResource) beyond 2^28 weights.
Affine to_affine(const nn::Op& op, const nn::Shape& input, const nn::Shape& output);

/// The same matrix as a convolution (weights rounded to float32): of Conv2d, Dense on one vector, pooling without
/// borders and global pooling. Null for others.
std::shared_ptr<const Convolution> to_convolution(const nn::Op& op, const nn::Shape& input, const nn::Shape& output);

/// x -> diagonal[i] x[i] + bias[i].
Affine diagonal_affine(const std::vector<double>& diagonal, const std::vector<double>& bias);

/// second after first.
Affine compose(const Affine& second, const Affine& first);
/// Number of weights compose would visit, an upper bound of the product's size.
std::int64_t compose_cost(const Affine& second, const Affine& first);

/// Sorts, merges equal positions, drops zeros.
void canonicalise(Affine& affine);

/// Applies in double precision.
std::vector<double> apply_affine(const Affine& affine, const std::vector<double>& x);

}  // namespace hearth::compiler
