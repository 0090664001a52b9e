#include "nn/coefficients.h"

#include <algorithm>

namespace hearth::nn {

Coefficients::Coefficients(const Polynomial& op)
    : Coefficients(static_cast<std::size_t>(op.degree()) + 1, static_cast<std::size_t>(op.coefficients.shape[1])) {
  for (std::size_t k = 0; k < rows_.size(); ++k) {
    for (std::size_t c = 0; c < columns_; ++c) rows_[k][c] = op.coefficients.data[k * columns_ + c];
  }
}

Coefficients::Coefficients(std::size_t count, std::size_t columns)
    : columns_(columns), rows_(count, std::vector<double>(columns, 0.0)) {}

Coefficients Coefficients::identity() {
  Coefficients out(2, 1);
  out.rows_[1][0] = 1;
  return out;
}

Coefficients Coefficients::affine(const std::vector<float>& scale, const std::vector<float>& shift) {
  Coefficients out(2, std::max(scale.size(), shift.size()));
  for (std::size_t c = 0; c < out.columns_; ++c) {
    out.rows_[0][c] = shift[shift.size() == 1 ? 0 : c];
    out.rows_[1][c] = scale[scale.size() == 1 ? 0 : c];
  }
  return out;
}

Coefficients Coefficients::plus(const Coefficients& other, double sign) const {
  Coefficients out(std::max(rows_.size(), other.rows_.size()), std::max(columns_, other.columns_));
  for (std::size_t c = 0; c < out.columns_; ++c) {
    for (std::size_t k = 0; k < rows_.size(); ++k) out.rows_[k][c] += at(k, c);
    for (std::size_t k = 0; k < other.rows_.size(); ++k) out.rows_[k][c] += sign * other.at(k, c);
  }
  return out;
}

Coefficients Coefficients::times(const Coefficients& other) const {
  Coefficients out(degree() + other.degree() + 1, std::max(columns_, other.columns_));
  for (std::size_t c = 0; c < out.columns_; ++c) {
    for (std::size_t i = 0; i <= degree(); ++i) {
      for (std::size_t k = 0; k <= other.degree(); ++k) out.rows_[i + k][c] += at(i, c) * other.at(k, c);
    }
  }
  return out;
}

Coefficients Coefficients::of(const Coefficients& inner) const {
  // Horner's rule.
  Coefficients out(1, 1);
  for (std::size_t k = rows_.size(); k-- > 0;) {
    Coefficients constant(1, columns_);
    constant.rows_[0] = rows_[k];
    out = out.times(inner).plus(constant, 1.0);
  }
  return out.trimmed();
}

Coefficients Coefficients::trimmed() const {
  Coefficients out = *this;
  const auto zero = [](double v) { return v == 0; };
  while (out.rows_.size() > 2 && std::ranges::all_of(out.rows_.back(), zero)) out.rows_.pop_back();
  if (out.rows_.size() == 1) out.rows_.emplace_back(out.columns_, 0.0);
  const auto uniform = [](const std::vector<double>& row) {
    return std::ranges::all_of(row, [&](double v) { return v == row[0]; });
  };
  if (out.columns_ > 1 && std::ranges::all_of(out.rows_, uniform)) {
    for (auto& row : out.rows_) row.resize(1);
    out.columns_ = 1;
  }
  return out;
}

Polynomial Coefficients::op() const {
  Polynomial out{Tensor({static_cast<std::int64_t>(rows_.size()), static_cast<std::int64_t>(columns_)})};
  for (std::size_t k = 0; k < rows_.size(); ++k) {
    for (std::size_t c = 0; c < columns_; ++c) {
      out.coefficients.data[k * columns_ + c] = static_cast<float>(rows_[k][c]);
    }
  }
  return out;
}

}  // namespace hearth::nn
