#include "compiler/program/program_bytes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "base/error.h"
#include "compiler/program/layer_bytes.h"

namespace hearth::compiler {
namespace {

constexpr std::size_t kMaxInstructions = std::size_t{1} << 20;
constexpr std::size_t kMaxDegree = std::size_t{1} << 16;
constexpr std::size_t kMaxVariants = 255;
constexpr std::size_t kMaxCount = 0xffffffff;  // where the bytes left are the only bound

// The tag an operation has in a file is its index in Op; these keep the two from drifting apart.
static_assert(std::is_same_v<std::variant_alternative_t<1, Op>, LinearOp>);
static_assert(std::is_same_v<std::variant_alternative_t<4, Op>, QuadraticOp>);
static_assert(std::is_same_v<std::variant_alternative_t<7, Op>, JoinOp>);
static_assert(std::is_same_v<std::variant_alternative_t<8, Op>, ActivationOp>);
static_assert(std::variant_size_v<Op> == 9);
static_assert(std::is_same_v<std::variant_alternative_t<0, LinearWeights>, ckks::LinearMap>);

std::uint32_t u32_size(std::size_t size) {
  require(size <= kMaxCount, ErrorKind::kResource, "{} entries do not fit a bundle", size);
  return static_cast<std::uint32_t>(size);
}

class ProgramWriter {
 public:
  ProgramWriter(ByteWriter& out, ByteWriter& weights) : out_(out), weights_(weights) {}

  void write(const Program& program) {
    out_.string(program.model);
    write_keys(out_, program.keys);
    write_bootstrap(program.bootstrap);
    out_.i32(program.output);
    collect_layouts(program);
    write_layouts(out_, layouts_);
    write_grids(out_, grids_);
    out_.u32(u32_size(program.instructions.size()));
    for (const Instruction& instruction : program.instructions) write(instruction);
  }

 private:
  /// Layers mostly share their layouts.
  void collect_layouts(const Program& program) {
    for (const Instruction& instruction : program.instructions) {
      const auto* linear = std::get_if<LinearOp>(&instruction.op);
      if (!linear) continue;
      const auto* layer = std::get_if<std::shared_ptr<const LayerMatrix>>(&linear->map);
      if (layer) collect(layouts_, {(*layer)->in(), (*layer)->out()});
      const auto* on_grid = std::get_if<std::shared_ptr<const GridMatrix>>(&linear->map);
      if (on_grid) collect(grids_, {(*on_grid)->in(), (*on_grid)->out()});
    }
  }

  template <typename Pointer>
  static void collect(std::vector<Pointer>& known, std::initializer_list<Pointer> used) {
    for (const Pointer& layout : used) {
      const auto same = [&](const Pointer& k) { return k == layout || *k == *layout; };
      if (std::ranges::none_of(known, same)) known.push_back(layout);
    }
  }

  void write(const Instruction& instruction) {
    out_.string(instruction.name);
    out_.i32(instruction.ciphertexts);
    out_.i32(instruction.work_level);
    out_.i32(instruction.level);
    out_.f64(instruction.scale);
    out_.u8(static_cast<std::uint8_t>(instruction.op.index()));
    std::visit([this](const auto& op) { write(op); }, instruction.op);
  }

  void write_bootstrap(const std::optional<ckks::BootstrapSpec>& spec) {
    out_.boolean(spec.has_value());
    if (!spec) return;
    write(spec->stc_radices);
    write(spec->cts_radices);
    out_.i32(spec->wrap_bound);
    out_.i32(spec->doublings);
    out_.i32(spec->exp_degree);
  }

  void write(const InputOp&) {}

  void write(const ActivationOp& op) {
    out_.i32(op.x);
    write_series(op.coefficients);
    out_.u32(u32_size(op.variants.size()));
    for (const auto& variant : op.variants) write_series(variant);
    out_.u32(u32_size(op.choices.size()));
    for (const auto& choice : op.choices) {
      out_.u32(u32_size(choice.size()));
      out_.span(choice);
    }
  }

  void write_series(const std::vector<std::complex<double>>& coefficients) {
    out_.u32(u32_size(coefficients.size()));
    for (const auto& c : coefficients) {
      out_.f64(c.real());
      out_.f64(c.imag());
    }
  }

  void write(const LinearOp& op) {
    out_.i32(op.x);
    out_.u8(static_cast<std::uint8_t>(op.map.index()));
    std::visit([this](const auto& map) { write(map); }, op.map);
    out_.i32(op.plan.step);
    out_.i32(op.plan.offset);
    out_.i32(op.plan.outer);
    write(op.plan.babies);
    write(op.plan.giants);
    out_.f64(op.plain_scale);
    write(op.folds);
    write_vectors(op.bias);
    out_.u32(u32_size(op.channel_bias.size()));
    weights_.span(op.channel_bias);
    out_.f64(op.margin);
  }

  void write(const AddOp& op) {
    out_.i32(op.a);
    out_.i32(op.b);
    out_.boolean(op.subtract);
  }

  void write(const MultiplyOp& op) {
    out_.i32(op.a);
    out_.i32(op.b);
  }

  void write(const QuadraticOp& op) {
    out_.i32(op.x);
    out_.f64(op.linear);
    out_.f64(op.constant);
    out_.f64(op.scale_factor);
    out_.boolean(op.negate);
  }

  void write(const PolynomialOp& op) {
    out_.i32(op.x);
    out_.u32(u32_size(op.coefficients.size()));
    out_.span(op.coefficients);
  }

  void write(const AddPlainOp& op) {
    out_.i32(op.x);
    write_vectors(op.constants);
  }

  void write(const JoinOp& op) {
    out_.u32(u32_size(op.parts.size()));
    for (const JoinOp::Part& part : op.parts) {
      out_.i32(part.value);
      out_.i32(part.ciphertext);
    }
  }

  void write(const std::vector<int>& values) {
    out_.u32(u32_size(values.size()));
    out_.span(std::span<const std::int32_t>(values));
  }

  void write_vectors(const std::vector<std::vector<double>>& vectors) {
    out_.u32(u32_size(vectors.size()));
    for (const auto& vector : vectors) {
      out_.u32(u32_size(vector.size()));
      weights_.span(vector);
    }
  }

  void write(const ckks::LinearMap& map) {
    out_.i32(map.inputs);
    out_.i32(map.outputs);
    out_.u32(u32_size(map.blocks.size()));
    for (const auto& [position, diagonals] : map.blocks) {
      out_.i32(position.first);
      out_.i32(position.second);
      out_.u32(u32_size(diagonals.size()));
      for (const auto& [rotation, diagonal] : diagonals) {
        out_.i32(rotation);
        out_.u32(u32_size(diagonal.size()));
        write_diagonal(diagonal);
      }
    }
  }

  void write(const std::shared_ptr<const LayerMatrix>& matrix) { write_layer(out_, weights_, *matrix, layouts_); }
  void write(const std::shared_ptr<const GridMatrix>& matrix) { write_layer(out_, weights_, *matrix, grids_); }

  void write_diagonal(const std::vector<double>& diagonal) {
    std::vector<float> rounded(diagonal.size());
    for (std::size_t i = 0; i < diagonal.size(); ++i) {
      rounded[i] = static_cast<float>(diagonal[i]);
      require(std::isfinite(rounded[i]), ErrorKind::kInvalidArgument, "the weight {} does not fit float32",
              diagonal[i]);
    }
    weights_.span(rounded);
  }

  ByteWriter& out_;
  ByteWriter& weights_;
  std::vector<std::shared_ptr<const Layout>> layouts_;
  std::vector<GridLayoutPtr> grids_;
};

class ProgramReader {
 public:
  ProgramReader(ByteReader& in, ByteReader& weights, const ckks::Parameters& parameters)
      : in_(in), weights_(weights), parameters_(parameters), slots_(static_cast<int>(parameters.slots())) {}

  Program read() {
    Program program;
    program.parameters = parameters_.spec();
    program.model = in_.string();
    program.keys = read_keys(in_, parameters_);
    program.bootstrap = read_bootstrap();
    program.output = in_.i32();
    layouts_ = read_layouts(in_, slots_);
    grids_ = read_grids(in_, slots_);
    const std::size_t count = in_.read_count(kMaxInstructions, "instructions", 25);
    require(count > 0, ErrorKind::kCorrupt, "{} has no instructions", in_.what());
    program.instructions.reserve(count);
    for (next_ = 0; next_ < static_cast<int>(count); ++next_) program.instructions.push_back(read_instruction());
    require(program.output >= 0 && program.output < next_, ErrorKind::kCorrupt,
            "{} has output value {}, expected 0 to {}", in_.what(), program.output, next_ - 1);
    in_.expect_end();
    weights_.expect_end();
    return program;
  }

 private:
  Instruction read_instruction() {
    Instruction out;
    out.name = in_.string();
    out.ciphertexts = in_.i32_in(1, kMaxTensorCiphertexts, "ciphertexts of an instruction");
    out.work_level = in_.i32_in(0, parameters_.max_level(), "work level");
    out.level = in_.i32_in(0, parameters_.max_level(), "level");
    out.scale = read_scale("scale");
    out.op = read_op(in_.u8());
    return out;
  }

  Op read_op(std::uint8_t tag) {
    switch (tag) {
      case 0:
        return InputOp{};
      case 1:
        return read_linear();
      case 2:
        return read_add();
      case 3:
        return read_multiply();
      case 4:
        return read_quadratic();
      case 5:
        return read_polynomial();
      case 6:
        return read_add_plain();
      case 7:
        return read_join();
      case 8:
        return read_activation();
      default:
        fail(ErrorKind::kCorrupt, "{} has an operation of unknown kind {} at offset {}", in_.what(), tag,
             in_.offset() - 1);
    }
  }

  std::optional<ckks::BootstrapSpec> read_bootstrap() {
    if (!in_.boolean()) return std::nullopt;
    ckks::BootstrapSpec spec;
    for (auto* radices : {&spec.stc_radices, &spec.cts_radices}) {
      radices->resize(in_.read_count(32, "factors of the embedding", 4));
      for (int& radix : *radices) radix = in_.i32_in(1, 32, "stages of a factor");
    }
    spec.wrap_bound = in_.i32();
    spec.doublings = in_.i32();
    spec.exp_degree = in_.i32();
    return spec;
  }

  Op read_activation() {
    ActivationOp op;
    op.x = read_value();
    op.coefficients = read_series();
    op.variants.resize(in_.read_count(kMaxVariants, "series", 4));
    for (auto& variant : op.variants) variant = read_series();
    op.choices.resize(in_.read_count(kMaxTensorCiphertexts, "choices of series", 4));
    for (auto& choice : op.choices) choice = in_.read_vector<std::uint8_t>(read_period());
    return op;
  }

  std::vector<std::complex<double>> read_series() {
    std::vector<std::complex<double>> series(in_.read_count(kMaxDegree, "coefficients", 2 * sizeof(double)));
    for (auto& c : series) {
      const double real = in_.finite();
      c = {real, in_.finite()};
    }
    return series;
  }

  Op read_linear() {
    LinearOp op;
    op.x = read_value();
    const std::uint32_t form = in_.u8();
    require(form <= 2, ErrorKind::kCorrupt, "{} has a matrix of unknown form {}", in_.what(), form);
    if (form == 0) {
      op.map = read_map();
    } else if (form == 2) {
      op.map = read_grid_layer(in_, weights_, grids_);
    } else {
      op.map = read_layer(in_, weights_, layouts_, slots_);
    }
    op.plan.step = in_.i32_in(1, slots_, "baby-step giant-step width");
    op.plan.offset = in_.i32_in(0, op.plan.step - 1, "baby-step giant-step offset");
    op.plan.outer = in_.i32_in(0, slots_, "outer giant step");
    op.plan.babies = read_rotations(0, "baby steps");
    op.plan.giants = read_rotations(0, "giant steps");
    op.plain_scale = read_scale("plaintext scale");
    op.folds = read_rotations(1 - slots_, "folds");
    op.bias = read_vectors();
    const std::size_t channels = in_.u32_in(0, 1U << 16, "values of a bias");
    op.channel_bias = weights_.read_vector<float>(channels);
    op.margin = in_.finite();
    return op;
  }

  Op read_add() {
    AddOp op;
    op.a = read_value();
    op.b = read_value();
    op.subtract = in_.boolean();
    return op;
  }

  Op read_multiply() {
    MultiplyOp op;
    op.a = read_value();
    op.b = read_value();
    return op;
  }

  Op read_quadratic() {
    QuadraticOp op;
    op.x = read_value();
    op.linear = in_.finite();
    op.constant = in_.finite();
    op.scale_factor = in_.finite();
    op.negate = in_.boolean();
    return op;
  }

  Op read_polynomial() {
    PolynomialOp op;
    op.x = read_value();
    const std::size_t count = in_.read_count(kMaxDegree, "coefficients", sizeof(double));
    for (std::size_t i = 0; i < count; ++i) op.coefficients.push_back(in_.finite());
    return op;
  }

  Op read_add_plain() {
    AddPlainOp op;
    op.x = read_value();
    op.constants = read_vectors();
    return op;
  }

  Op read_join() {
    JoinOp op;
    const std::size_t count = in_.read_count(kMaxTensorCiphertexts, "parts of a join", 8);
    for (std::size_t i = 0; i < count; ++i) {
      const Value value = read_value();
      op.parts.push_back({value, in_.i32_in(0, kMaxTensorCiphertexts - 1, "ciphertext index")});
    }
    return op;
  }

  Value read_value() {
    require(next_ > 0, ErrorKind::kCorrupt, "{}: the first instruction reads a value", in_.what());
    return in_.i32_in(0, next_ - 1, "operand");
  }

  double read_scale(const char* name) {
    const double scale = in_.finite();
    require(scale > 0, ErrorKind::kCorrupt, "{} has {} {} before offset {}, expected a positive number", in_.what(),
            name, scale, in_.offset());
    return scale;
  }

  std::vector<int> read_rotations(int low, const char* name) {
    const std::size_t count = in_.read_count(2 * parameters_.slots(), name, 4);
    std::vector<int> out(count);
    for (int& rotation : out) rotation = in_.i32_in(low, slots_ - 1, "rotation");
    return out;
  }

  std::size_t read_period() {
    const std::uint32_t period = in_.u32_in(1, static_cast<std::uint32_t>(slots_), "period");
    require(std::has_single_bit(period), ErrorKind::kCorrupt, "{} has period {} before offset {}, not a power of two",
            in_.what(), period, in_.offset());
    return period;
  }

  std::vector<std::vector<double>> read_vectors() {
    const std::size_t count = in_.read_count(kMaxTensorCiphertexts, "vectors", 4);
    std::vector<std::vector<double>> out(count);
    for (auto& vector : out) {
      vector = weights_.read_vector<double>(read_period());
      check_finite(vector);
    }
    return out;
  }

  ckks::LinearMap read_map() {
    ckks::LinearMap map;
    map.inputs = in_.i32_in(1, kMaxTensorCiphertexts, "inputs of a linear map");
    map.outputs = in_.i32_in(1, kMaxTensorCiphertexts, "outputs of a linear map");
    const std::size_t count = in_.read_count(kMaxCount, "blocks of a linear map", 12);
    for (std::size_t i = 0; i < count; ++i) {
      const int output = in_.i32_in(0, map.outputs - 1, "output of a block");
      const int input = in_.i32_in(0, map.inputs - 1, "input of a block");
      const std::pair position(output, input);
      require(map.blocks.empty() || map.blocks.rbegin()->first < position, ErrorKind::kCorrupt,
              "{}: blocks of a linear map are not in ascending order", in_.what());
      read_diagonals(map.blocks[position]);
    }
    return map;
  }

  void read_diagonals(std::map<int, std::vector<double>>& diagonals) {
    const std::size_t count = in_.read_count(parameters_.slots(), "diagonals", 8);
    for (std::size_t i = 0; i < count; ++i) {
      const int low = diagonals.empty() ? 0 : diagonals.rbegin()->first + 1;
      const int rotation = in_.i32_in(low, slots_ - 1, "rotation of a diagonal");
      const auto values = weights_.read_vector<float>(read_period());
      auto& diagonal = diagonals[rotation];
      diagonal.assign(values.begin(), values.end());
      check_finite(diagonal);
    }
  }

  void check_finite(const std::vector<double>& values) const {
    const auto finite = [](double value) { return std::isfinite(value); };
    require(std::all_of(values.begin(), values.end(), finite), ErrorKind::kCorrupt,
            "{} holds a number that is not finite before offset {}", weights_.what(), weights_.offset());
  }

  ByteReader& in_;
  ByteReader& weights_;
  const ckks::Parameters& parameters_;
  int slots_;
  std::vector<std::shared_ptr<const Layout>> layouts_;
  std::vector<GridLayoutPtr> grids_;
  int next_ = 0;  // value that the instruction being read makes
};

}  // namespace

void write_program(ByteWriter& program, ByteWriter& weights, const Program& value) {
  ProgramWriter(program, weights).write(value);
}

Program read_program(ByteReader& program, ByteReader& weights, const ckks::Parameters& parameters) {
  return ProgramReader(program, weights, parameters).read();
}

}  // namespace hearth::compiler
