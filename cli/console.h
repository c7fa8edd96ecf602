// SPDX-License-Identifier: Apache-2.0
// What a command says, and where: results to stdout, everything else to stderr.
//
// In text mode print() and write() go to stdout and finish() does nothing; in JSON mode it is the
// other way round, so a command states its result both ways and stdout holds one document, nothing
// else. Colour only on a terminal, and never where NO_COLOR is set (no-color.org).
// For one thread at a time.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "cli/exit_codes.h"
#include "formats/json.h"

namespace coppice {

enum class OutputFormat { kText, kJson };

struct Terminal {
  bool out = false;      // stdout is one
  bool error = false;    // stderr is one
  bool color = false;    // on both, and NO_COLOR is not set
  unsigned columns = 80; // of stderr's
};
Terminal detect_terminal();

enum class Style { kBold, kDim, kGood, kBad };

class Console {
 public:
  Console(std::ostream& out, std::ostream& error, Terminal terminal)
      : out_(out), error_(error), terminal_(terminal) {}

  void set_format(OutputFormat format) { format_ = format; }
  bool json() const { return format_ == OutputFormat::kJson; }
  const Terminal& terminal() const { return terminal_; }

  // Text mode only. print() ends the line; write() doesn't, and flushes: for streamed text.
  void print(std::string_view line = {});
  void write(std::string_view text);
  // JSON mode only, once: {"schema": SCHEMA, fields...}. `schema` is "coppice.NAME.vN".
  void finish(std::string_view schema, const Json& fields);
  // To stderr in both modes: what a person wants to know that is no result. One line.
  void note(std::string_view line);
  // "coppice: MESSAGE." on stderr, and a document in JSON mode. What main() does with an Error.
  void fail(const Error& error, ExitCode exit);

  // `text` in a style where stdout shows colours, else as it is.
  std::string styled(Style style, std::string_view text) const;
  std::ostream& error_stream() { return error_; }

 private:
  std::ostream& out_;
  std::ostream& error_;
  Terminal terminal_;
  OutputFormat format_ = OutputFormat::kText;
};

} // namespace coppice
