#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "hearth/error.h"

namespace hearth {

/// Fails unless `action` throws hearth::Error of this kind with a message that contains `part`.
template <typename Action>
void expect_error(ErrorKind kind, const std::string& part, Action&& action) {
  try {
    std::forward<Action>(action)();
    ADD_FAILURE() << "expected an error of kind " << to_string(kind) << " about \"" << part << "\"";
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), to_string(kind)) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace hearth
