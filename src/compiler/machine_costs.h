#pragma once

#include <string>
#include <vector>

#include "compiler/program/work.h"

namespace hearth::compiler {

/// Seconds of all primitives at one shape.
struct MeasuredLevel {
  LevelShape shape;
  PrimitiveArray seconds{};
};

/// Measures all primitives at `level` on this machine, with the threads parallel_for may use and evaluation keys of
/// random residues (their content does not change the time). Median of at least five runs each, and of as many as fit
/// into `patience` seconds.
MeasuredLevel measure_level(const ckks::ParametersPtr& parameters, int level, double patience = 0);

/// What is known about the speed of a machine: measurements at some shapes, from which the rest is estimated.
struct MachineCosts {
  std::string processor;  ///< its name, for people
  int threads = 1;        ///< used while measuring
  std::vector<MeasuredLevel> levels;

  /// Whether anything was measured at this ring degree.
  bool covers(int log_n) const;
  /// As measured if it was; else the nominal cost (compiler/program/work.h) times the mean ratio of measured to nominal
  /// costs at this ring degree, nearer shapes counting more. Error(kInvalidArgument) unless covers(shape.log_n).
  double seconds(Primitive primitive, const LevelShape& shape) const;
};

/// Of all the work of a program.
double seconds_of(const Work& work, const ckks::Parameters& parameters, const MachineCosts& costs);

/// Measures this machine at up to four of these levels (ascending), spread evenly; at least one is needed.
MachineCosts measure_machine(const ckks::ParametersPtr& parameters, const std::vector<int>& levels);

/// Parameters, insecure ones, whose levels have the shapes that compiled programs have at this ring degree: for
/// measurements ahead of any program. Levels to measure at come with them.
struct TypicalParameters {
  ckks::ParametersPtr parameters;
  std::vector<int> levels;
};
TypicalParameters typical_parameters(int log_n);

}  // namespace hearth::compiler
