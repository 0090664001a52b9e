#include "random_graph.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "onnx_builder.h"

namespace hearth::nn::testing {

namespace {

class Builder {
 public:
  explicit Builder(std::uint32_t seed) : generator_(seed) {
    const Shape shape = pick<Shape>({Shape{1, 4, 6, 6}, Shape{1, 2, 5, 7}, Shape{1, 12}, Shape{1, 3, 8}});
    current_ = graph_.add("x", Input{shape});
  }

  Graph build() {
    const int steps = uniform(1, 12);
    for (int i = 0; i < steps; ++i) step();
    graph_.output = current_;
    return graph_;
  }

 private:
  int uniform(int low, int high) {
    return low + static_cast<int>(generator_() % static_cast<unsigned>(high - low + 1));
  }
  bool chance(int one_in) { return uniform(1, one_in) == 1; }
  template <typename T>
  T pick(std::vector<T> options) {
    return options[generator_() % options.size()];
  }
  Tensor random(const Shape& shape) { return random_tensor(shape, static_cast<std::uint32_t>(generator_())); }
  const Shape& shape() const { return graph_.nodes[current_].shape; }
  void add(Op op) { append(std::move(op), {current_}); }
  void append(Op op, std::vector<ValueId> inputs) { current_ = graph_.add("n", std::move(op), std::move(inputs)); }

  void step() {
    switch (uniform(0, shape().size() == 4 ? 21 : 14)) {
      case 0:
        return add(MulConstant{constant()});
      case 1:
        return add(AddConstant{constant()});
      case 2:
        return polynomial();
      case 3:
        return append(Multiply{}, {current_, current_});
      case 4:
        return binary();
      case 5:
        return flatten_and_dense();
      case 6:
        return add(Identity{});
      case 7:
        return transpose();
      case 8:
        return slice();
      case 9:
        return reduce();
      case 10:
        return normalise();
      case 11:
      case 12:
        return add(activation());
      case 13:
        return gated();
      case 14:
        return maximum();
      case 15:
      case 16:
        return convolve();
      case 17:
        return pool();
      case 18:
        return add(GlobalAveragePool{});
      case 19:
        return max_pool();
      default:
        return pad();
    }
  }

  /// A constant that broadcasts to the current shape in a random way.
  Tensor constant() {
    Shape extents = shape();
    if (chance(4)) return random({});
    for (std::size_t i = 0; i < extents.size(); ++i) {
      if (i != 1 && !chance(4)) extents[i] = 1;
    }
    return random(extents);
  }

  std::int64_t channels_or_one() { return shape().size() >= 2 && chance(2) ? shape()[1] : 1; }

  void polynomial() {
    const int degree = uniform(1, 2);
    add(Polynomial{random({degree + 1, channels_or_one()})});
  }

  /// The current value with an affine map or a polynomial of itself, or with an older value of its shape.
  void binary() {
    const ValueId old = current_;
    ValueId other = static_cast<ValueId>(uniform(0, static_cast<int>(graph_.nodes.size()) - 1));
    if (chance(2) || graph_.nodes[other].shape != shape()) {
      if (chance(2)) {
        polynomial();
      } else {
        add(MulConstant{constant()});
      }
      other = current_;
    }
    append(pick<Op>({Op(Add{}), Op(Sub{}), Op(Multiply{})}), {old, other});
  }

  Activation activation() {
    using enum ActivationKind;
    const double a = uniform(-2, 2) / 2.0;
    return pick<Activation>({{kRelu},
                             {kRelu},
                             {kClip, a, a + 1},
                             clip(0, 6),
                             {kLeakyRelu, a},
                             {kElu, a},
                             {kSigmoid},
                             {kHardSigmoid, 0.2, 0.5},
                             {kSilu},
                             {kHardSwish},
                             {kGelu},
                             {kGeluTanh},
                             {kTanh},
                             {kErf},
                             {kSoftplus},
                             {kMish},
                             {kAbs}});
  }

  void scale(double factor) { add(MulConstant{Tensor(Shape{}, static_cast<float>(factor))}); }

  /// The current value times a function of it, often one that simplification knows, with a factor in a random place.
  void gated() {
    using enum ActivationKind;
    const ValueId x = current_;
    const int place = uniform(0, 3);
    const double factor = pick<double>({0.5, 1.5, -1});
    if (place == 0) scale(factor);
    switch (uniform(0, 5)) {
      case 0:
        add(Activation{kSigmoid});
        break;
      case 1:
        add(Activation{kHardSigmoid, 1.0 / 6, 0.5});
        break;
      case 2:
        add(AddConstant{Tensor(Shape{}, 3.0F)});
        add(clip(0, 6));
        break;
      case 3:
        scale(std::sqrt(0.5));
        add(Activation{kErf});
        add(AddConstant{Tensor(Shape{}, 1.0F)});
        break;
      case 4:
        add(Polynomial{Tensor({4, 1}, {0, 0.7978846F, 0, 0.044715F * 0.7978846F})});
        add(Activation{kTanh});
        add(AddConstant{Tensor(Shape{}, 1.0F)});
        break;
      default:
        add(activation());
        break;
    }
    if (place == 1) scale(factor);
    append(Multiply{}, {x, current_});
    if (place == 2) scale(factor);
  }

  /// The maximum with a multiple, an activation of or an older value.
  void maximum() {
    const ValueId old = current_;
    ValueId other = static_cast<ValueId>(uniform(0, static_cast<int>(graph_.nodes.size()) - 1));
    if (chance(2)) {
      const Activation f = activation();
      const bool same = graph_.nodes[other].shape == shape();
      const ValueId left = graph_.add("n", f, {old});
      return append(Max{}, {left, graph_.add("n", f, {same ? other : old})});
    }
    if (graph_.nodes[other].shape != shape()) {
      scale(pick<double>({0.25, -1, 2}));
      other = current_;
    }
    append(Max{}, {old, other});
  }

  void flatten_and_dense() {
    const std::int64_t count = element_count(shape());
    if (shape() != Shape{1, count}) add(Reshape{{1, count}});
    const std::int64_t outputs = uniform(2, 9);
    Tensor weights = random({outputs, count});
    for (float& w : weights.data) w *= 2.0F / static_cast<float>(count);
    add(Dense{std::move(weights), random({outputs})});
  }

  void transpose() {
    Transpose op;
    for (std::size_t i = 0; i < shape().size(); ++i) op.permutation.push_back(static_cast<std::int64_t>(i));
    const bool keep_batch = !op.permutation.empty();
    std::shuffle(op.permutation.begin() + (keep_batch ? 1 : 0), op.permutation.end(), generator_);
    add(std::move(op));
  }

  void slice() {
    Slice op;
    for (const std::int64_t extent : shape()) {
      const std::int64_t step = pick<std::int64_t>({1, 1, 2, -1});
      const std::int64_t most = (extent + std::abs(step) - 1) / std::abs(step);
      op.extents.push_back(std::max<std::int64_t>(most - uniform(0, 1), 1));
      op.steps.push_back(step);
      op.starts.push_back(step > 0 ? 0 : extent - 1);
    }
    add(std::move(op));
  }

  void reduce() {
    if (shape().size() < 2) return;
    ReduceMean op;
    for (std::size_t i = 1; i < shape().size(); ++i) {
      if (chance(2)) op.axes.push_back(static_cast<std::int64_t>(i));
    }
    op.keep_dims = chance(2);
    if (!op.axes.empty()) add(std::move(op));
  }

  void normalise() {
    if (shape().size() >= 2) add(BatchNorm{random({shape()[1]}), random({shape()[1]})});
  }

  Pads pads() {
    if (chance(2)) return {};
    return {uniform(0, 2), uniform(0, 2), uniform(0, 2), uniform(0, 2)};
  }

  void convolve() {
    const std::int64_t channels = shape()[1];
    const std::int64_t groups = chance(3) ? channels : 1;
    const std::int64_t outputs = groups * uniform(1, 3);
    if (shape()[0] != 1 || outputs > 16) return;
    const HeightWidth kernel = {std::min<std::int64_t>(uniform(1, 3), shape()[2]),
                                std::min<std::int64_t>(uniform(1, 3), shape()[3])};
    Conv2d op{random({outputs, channels / groups, kernel[0], kernel[1]}), random({outputs})};
    for (float& w : op.weights.data) w *= 2.0F / static_cast<float>(op.weights.size() / outputs);
    op.groups = groups;
    op.strides = {uniform(1, 2), uniform(1, 2)};
    op.pads = pads();
    add(std::move(op));
  }

  void pool() {
    if (shape()[0] != 1) return;
    AveragePool op;
    op.kernel = {std::min<std::int64_t>(uniform(1, 3), shape()[2]), std::min<std::int64_t>(uniform(1, 3), shape()[3])};
    op.strides = {uniform(1, 2), uniform(1, 2)};
    op.pads = pads();
    op.count_include_pad = chance(2);
    op.ceil_mode = chance(2);
    add(op);
  }

  void max_pool() {
    if (shape()[0] != 1) return;
    MaxPool op;
    op.kernel = {std::min<std::int64_t>(uniform(1, 3), shape()[2]), std::min<std::int64_t>(uniform(1, 3), shape()[3])};
    op.strides = {uniform(1, 2), uniform(1, 2)};
    const auto below = [&](std::int64_t kernel) { return uniform(0, static_cast<int>(kernel) - 1); };
    op.pads = {below(op.kernel[0]), below(op.kernel[1]), below(op.kernel[0]), below(op.kernel[1])};
    op.ceil_mode = chance(2);
    add(op);
  }

  void pad() {
    Pad op{std::vector<std::int64_t>(4, 0), std::vector<std::int64_t>(4, 0), chance(2) ? 0.0F : 0.5F};
    for (const std::size_t axis : {2, 3}) {
      op.before[axis] = uniform(0, 2);
      op.after[axis] = uniform(0, 2);
    }
    add(std::move(op));
  }

  std::mt19937 generator_;
  Graph graph_;
  ValueId current_ = 0;
};

}  // namespace

Graph random_graph(std::uint32_t seed) { return Builder(seed).build(); }

}  // namespace hearth::nn::testing
