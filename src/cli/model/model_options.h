#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/common/class_names.h"
#include "cli/common/command.h"
#include "compiler/compile.h"

namespace hearth::cli {

/// Everything that decides what a model is compiled to: the same options, model and calibration give the same program.
/// What is for the client alone (normalisation, images, classes) is not part of the program.
struct ModelOptions {
  std::string model, calibration;
  std::string tune;  ///< file of measured costs, "" for the default
  bool insecure = false;
  compiler::Normalisation normalisation;
  std::optional<int> image_resize;
  ClassOptions classes;
  compiler::CompileOptions compile;
};

/// Adds MODEL, --calibration, normalisation, what is done to images, names of classes, and the options of compilation.
void add_model_options(CLI::App& app, ModelOptions& options);

/// One input of the model in every entry of `file`, normalised.
std::vector<nn::Tensor> read_inputs(const std::string& file, const nn::Shape& shape,
                                    const compiler::Normalisation& normalisation);

/// Reads model and calibration and compiles, with a progress line. `seconds`, if not null: how long that took.
compiler::Compiled compile_model(const ModelOptions& options, const CommonOptions& common, double* seconds = nullptr);

}  // namespace hearth::cli
