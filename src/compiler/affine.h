#pragma once

#include <cstdint>
#include <memory>
#include <string>
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

/// A list of weights that copies share until one of them is edited: graphs are copied from step to step, their matrices
/// are large and rarely change. As thread safe as a vector.
class WeightList {
 public:
  using Iterator = std::vector<Weight>::const_iterator;
  Iterator begin() const { return data_->begin(); }
  Iterator end() const { return data_->end(); }
  std::size_t size() const { return data_->size(); }
  const Weight& operator[](std::size_t i) const { return (*data_)[i]; }
  /// The list for changing, no longer shared with anyone.
  std::vector<Weight>& edit() {
    if (data_.use_count() > 1) data_ = std::make_shared<std::vector<Weight>>(*data_);
    return *data_;
  }

 private:
  std::shared_ptr<std::vector<Weight>> data_ = std::make_shared<std::vector<Weight>>();
};

/// y = A x + bias on flattened tensors, A sparse. Weights are sorted by (row, column), distinct and non-zero.
struct Affine {
  std::int64_t rows = 0, columns = 0;
  WeightList weights;
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

/// What an affine operator is as a layer whose matrix is too large to be listed: weights of `layer`, the bias element
/// by element. `pooled`: the layer is 1 x 1 and its results are summed over the image.
struct Layer {
  std::shared_ptr<const Convolution> layer;
  std::vector<double> bias;
  bool pooled = false;
};

/// Of the operators that to_convolution knows, and BatchNorm and MulConstant with one factor a channel. Throws
/// Error(kUnsupported), naming the operator's node, for others.
Layer to_layer(const std::string& node, const nn::Op& op, const nn::Shape& input, const nn::Shape& output);
/// Applies the layer; sums in double, values rounded to float32.
std::vector<double> apply_convolution(const Convolution& layer, bool pooled, const std::vector<double>& bias,
                                      const std::vector<double>& x);
/// Number of products of a layer, that is, of weights that its matrix would have (borders included).
double products_of(const nn::Op& op, const nn::Shape& input, const nn::Shape& output);

}  // namespace hearth::compiler
