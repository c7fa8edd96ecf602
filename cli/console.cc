// SPDX-License-Identifier: Apache-2.0
#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <ostream>

#include "base/text.h"

namespace coppice {
namespace {

std::string as_sentence(std::string text) {
  if (text.empty()) return "something failed without a word; please report it.";
  const char last = text.back();
  if (last != '.' && last != '!' && last != '?' && last != '\n') text += '.';
  return text;
}

} // namespace

Terminal detect_terminal() {
  Terminal terminal;
  terminal.out = ::isatty(STDOUT_FILENO) == 1;
  terminal.error = ::isatty(STDERR_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  const char* kind = std::getenv("TERM");
  const bool dumb = kind != nullptr && std::string_view(kind) == "dumb";
  terminal.color =
      terminal.out && terminal.error && !dumb && (no_color == nullptr || *no_color == '\0');
  if (dumb) terminal.error = false; // no carriage returns there: plain lines
  winsize size{};
  if (terminal.error && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.columns = size.ws_col;
  }
  return terminal;
}

void Console::print(std::string_view line) {
  if (!json()) out_ << line << std::endl;
}

void Console::write(std::string_view text) {
  if (!json()) out_ << text << std::flush;
}

void Console::finish(std::string_view schema, const Json& fields) {
  if (!json()) return;
  Json document = Json::object();
  document["schema"] = schema;
  for (const auto& [key, value] : fields.items()) document[key] = value;
  out_ << dump_json(document, 2) << std::endl;
}

void Console::note(std::string_view line) { error_ << line << std::endl; }

void Console::fail(const Error& error, ExitCode exit) {
  error_ << styled(Style::kBad, "coppice:") << ' ' << as_sentence(error.message) << std::endl;
  std::string_view exit_name;
  for (const ExitCodeInfo& row : exit_codes()) {
    if (row.code == exit) exit_name = row.name;
  }
  Json fields = Json::object();
  fields["code"] = error_code_name(error.code);
  fields["exit"] = exit_name;
  fields["message"] = as_sentence(error.message);
  finish("coppice.error.v1", Json{{"error", std::move(fields)}});
}

std::string Console::styled(Style style, std::string_view text) const {
  if (!terminal_.color) return std::string(text);
  const char* code = "0";
  switch (style) {
    case Style::kBold: code = "1"; break;
    case Style::kDim: code = "2"; break;
    case Style::kGood: code = "32"; break;
    case Style::kBad: code = "31"; break;
  }
  return cat("\033[", code, "m", text, "\033[0m");
}

} // namespace coppice
