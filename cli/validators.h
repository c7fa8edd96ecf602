// SPDX-License-Identifier: Apache-2.0
// Ranges of numbers on the command line, refused in words.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/text.h"

namespace coppice {

// Both ends are allowed.
template <typename Number>
CLI::Validator in_range(Number lowest, Number highest) {
  return CLI::Validator(
      [lowest, highest](std::string& text) -> std::string {
        Number value{};
        if (CLI::detail::lexical_cast(text, value) && lowest <= value && value <= highest)
          return {};
        return cat("takes a number from ", lowest, " to ", highest, ", not '", text, "'");
      },
      "");
}

} // namespace coppice
