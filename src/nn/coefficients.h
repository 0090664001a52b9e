#pragma once

#include <cstddef>
#include <vector>

#include "nn/graph.h"

namespace hearth::nn {

/// The coefficients of a Polynomial while simplify() computes with them: in double, one column for all channels or one
/// a channel. Operands have equally many columns, or one of them a single one. Internal to simplify().
class Coefficients {
 public:
  explicit Coefficients(const Polynomial& op);
  /// Zeros.
  Coefficients(std::size_t count, std::size_t columns);
  /// x.
  static Coefficients identity();
  /// scale x + shift, each one value or one a channel.
  static Coefficients affine(const std::vector<float>& scale, const std::vector<float>& shift);

  std::size_t degree() const { return rows_.size() - 1; }
  std::size_t columns() const { return columns_; }
  /// The coefficient of x^power for a channel.
  double at(std::size_t power, std::size_t channel) const { return rows_[power][columns_ == 1 ? 0 : channel]; }

  Coefficients plus(const Coefficients& other, double sign) const;
  Coefficients times(const Coefficients& other) const;
  /// this(inner(x)).
  Coefficients of(const Coefficients& inner) const;
  /// Without leading zero coefficients (down to degree 1) and with equal columns merged.
  Coefficients trimmed() const;

  /// Rounded to float.
  Polynomial op() const;

 private:
  std::size_t columns_;
  std::vector<std::vector<double>> rows_;  ///< by power, then by column
};

}  // namespace hearth::nn
