// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error. The only error channel across folder borders; nothing throws.
//
// A Result must be looked at ([[nodiscard]]). `COPPICE_TRY(expr)` yields the value or returns the
// error from the enclosing function. Thread-compatible, like the value that it holds.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace coppice {

// Few codes: what a caller can do differs between them, the sentence tells a person the rest.
enum class ErrorCode {
  kInvalidArgument,    // the caller's or user's input is wrong; change it
  kNotFound,           // the named thing is not there
  kAlreadyExists,      // it is there, and must not be overwritten
  kPermissionDenied,   // known, but not allowed
  kUnauthenticated,    // signature, key or certificate doesn't verify
  kCorrupt,            // bytes from disk or network that break their format
  kTooLarge,           // over a limit in protocol/limits.h or in a format's reader
  kUnsupported,        // well-formed, and not known to this version
  kUnavailable,        // can't be reached now; try again later
  kDeadlineExceeded,   // a wait ran out
  kFailedPrecondition, // right request, wrong state
  kResourceExhausted,  // disk, memory, descriptors, budget
  kIo,                 // the operating system refused; errno's words are in the message
  kCancelled,          // asked to stop
  kInternal,           // a bug of ours that was contained
};

const char* error_code_name(ErrorCode code);

// `message` is a full sentence: what happened, and what to do about it.
struct Error {
  ErrorCode code;
  std::string message;
  // Prepends context: "reading FILE: ...".
  Error with_context(std::string_view context) &&;
};

// What checks and readers return most.
inline Error invalid_argument(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message)};
}
inline Error corrupt_data(std::string message) { return {ErrorCode::kCorrupt, std::move(message)}; }
inline Error not_supported(std::string message) {
  return {ErrorCode::kUnsupported, std::move(message)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}     // NOLINT(*-explicit-*)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {} // NOLINT(*-explicit-*)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  const T& value() const& { return COPPICE_CHECK_OK(*this), std::get<0>(state_); }
  T& value() & { return COPPICE_CHECK_OK(*this), std::get<0>(state_); }
  T&& value() && { return COPPICE_CHECK_OK(*this), std::get<0>(std::move(state_)); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {} // NOLINT(*-explicit-*)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { COPPICE_CHECK_OK(*this); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

} // namespace coppice

#define COPPICE_CONCAT_INNER(a, b) a##b
#define COPPICE_CONCAT(a, b) COPPICE_CONCAT_INNER(a, b)

// `auto x = COPPICE_TRY(f());` or `COPPICE_TRY(check());` (a GNU statement expression: g++, clang).
#define COPPICE_TRY(expr) COPPICE_TRY_NAMED(COPPICE_CONCAT(try_result_, __COUNTER__), expr)
#define COPPICE_TRY_NAMED(name, expr)               \
  __extension__({                                   \
    auto name = (expr);                             \
    if (!name.ok()) return std::move(name).error(); \
    std::move(name).value();                        \
  })
