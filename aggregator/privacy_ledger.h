// SPDX-License-Identifier: Apache-2.0
// What privacy budget a population has spent, over all bases and settings that ran on it.
//
// Rows are in the state database, written in the transactions of what they pay for (StateStore) and
// never pruned; this adds them up. A round that a restored state can't prove unspent is a row too.
// Pure over the rows; thread-compatible.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "privacy/accountant.h"

namespace coppice {

struct SpendRecord {
  RoundId round;
  std::string mechanism; // mechanism_text()
  // Rounds of one series of banded noise are paid once, together: the round that began it. 0: this
  // round is paid by itself.
  RoundId series;
  std::uint64_t times = 1; // more than one: rounds up to `round` that nothing else is known of
  Sha256 base;
  double epsilon = 0; // of the population, with this row
  bool proven = true; // false: charged because it can't be proven unspent
  Millis spent;       // wall clock
};

// JSON, numbers to the last digit: equal texts are equal mechanisms.
std::string mechanism_text(const Mechanism& mechanism);
Result<Mechanism> parse_mechanism(std::string_view text);

class PrivacyLedger {
 public:
  // kCorrupt: a row that can't be read. Then nothing may run: what is spent is unknown.
  static Result<PrivacyLedger> of(std::vector<SpendRecord> records);

  // Of everything spent, and of that with one more round (of `series`, if it isn't 0).
  Result<double> epsilon(double delta) const;
  Result<double> epsilon_with(const Mechanism& next, RoundId series, double delta) const;
  const std::vector<SpendRecord>& records() const { return records_; }
  std::uint64_t rounds() const; // of all rows
  bool empty() const { return records_.empty(); }

 private:
  // By mechanism_text(), equal ones together: the accountant's time grows with their number.
  std::map<std::string, Spend> spends_;
  std::vector<SpendRecord> records_;
};

} // namespace coppice
