// SPDX-License-Identifier: Apache-2.0
// A comparison as one LaTeX tabular.
#include <cmath>

#include "base/text.h"
#include "sim/comparison_tables.h"

namespace coppice {
namespace {

std::string escape_tex(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    switch (letter) {
      case '\\': out += "\\textbackslash{}"; break;
      case '~': out += "\\textasciitilde{}"; break;
      case '^': out += "\\textasciicircum{}"; break;
      case '&':
      case '%':
      case '$':
      case '#':
      case '_':
      case '{':
      case '}': out += {'\\', letter}; break;
      case '\n':
      case '\r': out += ' '; break;
      default: out += letter;
    }
  }
  return out;
}

// "$-0.0123 \pm 0.0034$", scaled; empty without values.
std::string math(const MeanInterval& interval, double scale, int decimals, bool is_difference) {
  if (interval.count == 0) return {};
  const char* const sign = is_difference && interval.mean > 0 ? "+" : "";
  std::string text = cat("$", sign, fixed(scale * interval.mean, decimals));
  if (std::isfinite(interval.half_width)) {
    text += cat(" \\pm ", fixed(scale * interval.half_width, decimals));
  }
  return text + "$";
}

struct PaperColumn {
  const char* head[2]; // two rows
  const char* measure;
  ComparedAt at;
  double scale;
  int decimals;
  bool difference; // to the first scenario
};
constexpr PaperColumn kColumns[] = {
    {{"equal rounds", "bits/byte"}, "bits_per_byte.global", ComparedAt::kEqualRounds, 1, 4, false},
    {{"", "$\\Delta$"}, "bits_per_byte.global", ComparedAt::kEqualRounds, 1, 4, true},
    {{"equal bytes", "bits/byte"}, "bits_per_byte.global", ComparedAt::kEqualBytes, 1, 4, false},
    {{"", "$\\Delta$"}, "bits_per_byte.global", ComparedAt::kEqualBytes, 1, 4, true},
    {{"worst decile", "bits/byte"}, "clients.worst_decile", ComparedAt::kEnd, 1, 4, false},
    {{"harmed", "\\%"}, "clients.harmed", ComparedAt::kEnd, 100, 1, false},
    {{"up", "MB"}, "bytes_up", ComparedAt::kEnd, 1e-6, 2, false},
    {{"down", "MB"}, "bytes_down", ComparedAt::kEnd, 1e-6, 2, false},
};

std::string cell_of(const Comparison& comparison, const PaperColumn& column, std::size_t scenario) {
  const ComparedMeasure* const measure = comparison.find(column.measure, column.at);
  if (measure == nullptr || (column.difference && scenario == 0)) return {};
  const ComparedFigure& figure = measure->figures[scenario];
  MeanInterval shown = column.difference ? figure.to_first : figure.value;
  if (measure->unit == MeasureUnit::kBytes) shown.half_width = NAN; // means alone
  return math(shown, column.scale, column.decimals, column.difference);
}

std::string head_row(int row) {
  std::string text = row == 0 ? "" : "scenario";
  for (const PaperColumn& column : kColumns) text += cat(" & ", column.head[row]);
  return text + " \\\\\n";
}

} // namespace

std::string comparison_tex(const Comparison& comparison) {
  std::string text = cat("% ", comparison.seeds.size(),
                         " seeds; mean +- half of the 95 % confidence interval (Student's t); "
                         "differences to the first row are\n% paired by seed. Bits per byte on all "
                         "clients' report text, lower is better. Equal rounds: round ",
                         comparison.equal_round,
                         ".\n% Equal bytes: the last evaluation within what the scenario that "
                         "moved least moved in all with that seed.\n");
  for (std::size_t i = 0; i < comparison.names.size(); ++i) {
    text += cat("% ", escape_tex(comparison.names[i]), ": strategy ",
                escape_tex(comparison.strategies[i]), ", ",
                comparison.tuned[i] ? cat("tuned over ", tuning_text(*comparison.tuned[i]))
                                    : std::string("not tuned"),
                "\n");
  }
  text += cat("\\begin{tabular}{l", std::string(std::size(kColumns), 'r'), "}\n\\hline\n",
              head_row(0), head_row(1), "\\hline\n");
  for (std::size_t i = 0; i < comparison.names.size(); ++i) {
    text += escape_tex(comparison.names[i]);
    for (const PaperColumn& column : kColumns) {
      text += cat(" & ", cell_of(comparison, column, i));
    }
    text += " \\\\\n";
  }
  return text + "\\hline\n\\end{tabular}\n";
}

} // namespace coppice
