// SPDX-License-Identifier: Apache-2.0
// COPPICE_CHECK: our own bugs end the process with file, line and the broken condition. Always on.
// Never for input: bytes from outside and users' mistakes are Results.
#pragma once

#include <string_view>

namespace coppice {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               std::string_view message = {});
} // namespace coppice

#define COPPICE_CHECK(condition, ...) \
  (static_cast<bool>(condition)       \
       ? static_cast<void>(0)         \
       : ::coppice::check_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__))

// For Result::value(): the message is the error's own sentence.
#define COPPICE_CHECK_OK(result)        \
  ((result).ok() ? static_cast<void>(0) \
                 : ::coppice::check_failed(__FILE__, __LINE__, #result, (result).error().message))
