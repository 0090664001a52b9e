#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "compiler/affine.h"
#include "compiler/fourier_series.h"
#include "nn/graph.h"

/// A network as arithmetic on flat vectors: what remains once operators are reduced to sparse matrices, products,
/// polynomials and relabellings. Between nn::Graph and a Program; nothing here knows about ciphertexts.
namespace hearth::compiler {

namespace arith {

struct Input {};
/// y = A x + b.
struct Linear {
  Affine affine;
  /// What A is the matrix of, where that is one layer; b is always the affine map's own.
  std::shared_ptr<const Convolution> layer = {};
  /// The weights of A are not listed in `affine`: they are those of `layer`.
  bool implicit = false;
  bool pooled = false;  ///< of an implicit layer: it makes a vector of the image, see compiler::Layer
};
/// y = a + b or a - b.
struct Add {
  bool subtract = false;
};
/// y = a * b, element by element.
struct Multiply {};
/// y = sum_k coefficients[k] x^k, degree >= 2, leading coefficient not zero.
struct Polynomial {
  std::vector<double> coefficients;
};
/// y = f(x), element by element, by a bootstrap that refreshes x. `series` approximates f once calibrate_activations
/// has chosen the range; before that its coefficients are empty.
///
/// `gains`: one a channel; the operand holds gains[c] times what f is meant to see, so that channels of small values
/// fill the range as well: y = f(x / gains[c]). Empty: 1 everywhere. Each gain but 1 has its series among `variants`.
struct Activation {
  struct Variant {
    double gain = 1;
    FourierSeries series;
  };
  nn::Activation function;
  FourierSeries series{.coefficients = {}};
  std::vector<double> gains = {};
  std::vector<Variant> variants = {};

  double gain(std::size_t element, std::size_t elements) const {
    return gains.empty() ? 1 : gains[element / (elements / gains.size())];
  }
  /// Of the channels with this gain: 0 for `series`, k for variants[k - 1].
  std::size_t variant_of(double gain) const;
};
/// y = x + constant.
struct AddConstant {
  std::vector<double> constant;
};
/// y[i] = x[source[i]], or 0 where source[i] < 0. Moves no data.
struct View {
  std::vector<std::int64_t> source;
};
/// The inputs one after another, then relabelled: y[i] = concatenation[source[i]].
struct Concat {
  std::vector<std::int64_t> source;
};
/// y = x, at a scale the compiler may choose; costs one level. Inserted where two branches must meet on one scale.
struct Rescale {};

using Op = std::variant<Input, Linear, Add, Multiply, Polynomial, AddConstant, View, Concat, Rescale, Activation>;

}  // namespace arith

struct ArithNode {
  std::string name;
  arith::Op op;
  std::vector<int> inputs;  ///< indices of earlier nodes
  nn::Shape shape;          ///< of the ONNX value it stands for: a hint for layouts; its product is the vector's length
  /// Stride of the convolution or pooling this matrix comes from, a hint for layouts (1 otherwise).
  std::int64_t stride = 1;
};

struct ArithGraph {
  std::string name;
  std::vector<ArithNode> nodes;  ///< node 0 is the input
  int output = 0;

  std::int64_t size(int node) const;
  std::vector<std::vector<int>> users() const;
};

/// How linear operators are kept.
enum class LinearForm : std::uint8_t {
  kListed,   ///< as sparse matrices, weight by weight
  kImplicit  ///< as layers: for networks whose matrices are too large to be listed
};

/// Reduces a simplified graph. Fuses chains of linear operators, offsets into biases, and per-channel quadratics into
/// their neighbours, so that multiplicative depth is least. Throws Error(kUnsupported) naming the node for polynomials
/// of degree above 2 that differ by channel, and, with implicit layers, for operators that are none.
ArithGraph reduce(const nn::Graph& simplified, LinearForm form = LinearForm::kListed);

/// Whether a view of a value of `size` elements only changes its shape.
bool moves_nothing(const arith::View& view, std::int64_t size);

/// A x + b.
std::vector<double> apply_linear(const arith::Linear& linear, const std::vector<double>& x);
/// Mean over rows of the sum of squared weights: by how much independent errors of mean square 1 grow. Borders of
/// implicit layers are taken for interior.
double weight_energy(const arith::Linear& linear);

/// Appends a multiplication by one where slots of the output's ciphertexts may hold more than the output: what a slice
/// dropped, or the constant of a polynomial. The client decrypts all slots and must learn the output only. Costs a
/// level in those cases, nothing in networks that end in a linear layer.
ArithGraph mask_output(ArithGraph graph);

/// The value of every node, in double precision, activations exact.
std::vector<std::vector<double>> evaluate(const ArithGraph& graph, const std::vector<double>& input);
/// The same with activations by their series, where they have one, and `disturb(node, values)` called on the value of
/// every node before others read it.
using Disturbance = std::function<void(std::size_t, std::vector<double>&)>;
std::vector<std::vector<double>> evaluate(const ArithGraph& graph, const std::vector<double>& input,
                                          const Disturbance& disturb);

/// Inserts Rescale nodes so that at every Add and Concat all operands can be brought to one scale. Values that keep
/// their operand's scale form a class with it; afterwards no class holds products of two different scales, nor a
/// product and what that product is made of, nor the operand of an activation together with a product: what enters a
/// bootstrap has the scale that its range asks for.
ArithGraph align_scales(ArithGraph graph);
/// For every node the representative of its class of values with one scale.
std::vector<int> scale_classes(const ArithGraph& graph);

/// Levels each node's result must still have below it (output: 0) and the level its operation works at. An activation
/// works at `activation_level`, that of the bootstrap's input, whatever its result needs.
struct Levels {
  std::vector<int> result, work;
};
Levels assign_levels(const ArithGraph& graph, int activation_level = 0);
bool has_activations(const ArithGraph& graph);
/// Levels an operation costs; of an activation none, it starts anew.
int levels_of(const arith::Op& op);

/// An activation with f(x) = x.
arith::Activation plain_refresh();
bool is_plain_refresh(const nn::Activation& f);
/// Refreshes values wherever a stretch between activations would take more than `linear_levels` levels, as late as
/// possible. `linear_levels` must be at least deepest_operation(graph).
ArithGraph insert_refreshes(const ArithGraph& graph, int activation_level, int linear_levels);
int deepest_operation(const ArithGraph& graph);

std::string to_string(const ArithGraph& graph);

}  // namespace hearth::compiler
