// SPDX-License-Identifier: Apache-2.0
#include "cli/privacy_alternatives.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/text.h"
#include "cli/table.h"

namespace coppice {
namespace {

// Distance that is kept from the bound, since quick epsilons are estimates.
constexpr double kRoom = 0.99;

// Up, to two significant digits.
double two_digits_up(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
  return std::ceil(value / unit - 1e-9) * unit;
}

std::uint32_t largest_cohort(const PrivacyQuestion& question) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(question.population, limits::kRosterMembers));
}

std::string cohort_text(const PrivacyQuestion& question) {
  return cat("a cohort of ", grouped(question.cohort));
}
std::string epsilon_text(const PrivacyQuestion& question) {
  return cat("epsilon ", question.epsilon);
}

using MaybeQuestion = std::optional<PrivacyQuestion>;

class Search {
 public:
  // `overhead`: the sampled mechanism's multiplier over the continuous Gaussian's.
  explicit Search(double overhead) : overhead_(overhead) {}

  Result<MaybeQuestion> with_more_devices(PrivacyQuestion question) const;
  Result<MaybeQuestion> with_more_epsilon(PrivacyQuestion question) const;

  // Whether it does, in all that counts and not in a quick look only.
  Result<bool> add(std::string change, const PrivacyQuestion& question) {
    auto answer = answer_privacy(question);
    if (!answer.ok() || !answer->can_learn()) return false; // a ring or a graph that can't be had
    found_.push_back({std::move(change), question, std::move(*answer)});
    return true;
  }
  // Adapters from large to small; `change` gives a question that does, or none.
  template <typename Change, typename Text>
  Result<void> add_first(const PrivacyQuestion& question, std::span<const SmallerAdapter> by_size,
                         Change change, Text text) {
    for (const SmallerAdapter& adapter : by_size) {
      PrivacyQuestion smaller = question;
      smaller.parameters = adapter.parameters;
      const MaybeQuestion made = COPPICE_TRY((this->*change)(smaller));
      if (made && COPPICE_TRY(add(cat(adapter.change, " and ", text(*made)), *made))) break;
    }
    return {};
  }
  bool empty() const { return found_.empty(); }
  std::vector<Alternative> take() { return std::move(found_); }

 private:
  // The largest multiplier under which the question's adapter learns, as the continuous Gaussian's.
  double most_noise(const PrivacyQuestion& question) const {
    return kRoom * kMostNoiseOverClip * question.cohort /
           std::sqrt(static_cast<double>(question.parameters)) / overhead_;
  }
  Result<bool> learns(const PrivacyQuestion& question) const {
    return COPPICE_TRY(quick_epsilon(question, most_noise(question))) <= question.epsilon;
  }

  double overhead_;
  std::vector<Alternative> found_;
};

// What a cohort is divided by grows no faster than it does, so the smallest is found by bisection.
Result<MaybeQuestion> Search::with_more_devices(PrivacyQuestion question) const {
  double low = question.cohort;
  const std::uint32_t most = largest_cohort(question);
  question.cohort = most;
  if (!COPPICE_TRY(learns(question))) return MaybeQuestion();
  double high = most;
  while (high > 1.01 * low && high - low > 1) {
    const double middle = std::floor(std::sqrt(low * high));
    if (middle <= low) break;
    question.cohort = static_cast<std::uint32_t>(middle);
    (COPPICE_TRY(learns(question)) ? high : low) = middle;
  }
  question.cohort = std::min(most, static_cast<std::uint32_t>(two_digits_up(high)));
  return MaybeQuestion(question);
}

Result<MaybeQuestion> Search::with_more_epsilon(PrivacyQuestion question) const {
  const double epsilon = COPPICE_TRY(quick_epsilon(question, most_noise(question)));
  if (!(epsilon <= kMostEpsilon)) return MaybeQuestion();
  question.epsilon = std::min(kMostEpsilon, two_digits_up(epsilon));
  return MaybeQuestion(question);
}

// Noise over clip goes with the root of the parameters; the multiplier doesn't depend on them.
Result<void> add_smaller(Search& search, const PrivacyQuestion& question,
                         const PrivacyAnswer& answer, std::span<const SmallerAdapter> by_size) {
  const double share = kMostNoiseOverClip / answer.noise_over_clip;
  const double most = static_cast<double>(question.parameters) * share * share;
  std::set<std::string> done;
  for (const bool combined : {false, true}) {
    for (const SmallerAdapter& adapter : by_size) {
      if (adapter.unless.empty() == combined) continue;
      if (done.contains(adapter.unless)) done.insert(adapter.knob);
      if (done.contains(adapter.knob) || static_cast<double>(adapter.parameters) > most) continue;
      PrivacyQuestion smaller = question;
      smaller.parameters = adapter.parameters;
      if (COPPICE_TRY(search.add(adapter.change, smaller))) done.insert(adapter.knob);
    }
  }
  return {};
}

} // namespace

Result<std::vector<Alternative>> feasible_alternatives(const PrivacyQuestion& question,
                                                       const PrivacyAnswer& answer,
                                                       std::span<const SmallerAdapter> smaller) {
  std::vector<SmallerAdapter> by_size(smaller.begin(), smaller.end());
  std::ranges::stable_sort(by_size, std::ranges::greater{}, &SmallerAdapter::parameters);
  Search search(answer.noise_multiplier / answer.continuous_multiplier);
  COPPICE_TRY(add_smaller(search, question, answer, by_size));
  if (const auto more = COPPICE_TRY(search.with_more_devices(question))) {
    COPPICE_TRY(search.add(cohort_text(*more), *more));
  }
  if (const auto more = COPPICE_TRY(search.with_more_epsilon(question))) {
    COPPICE_TRY(search.add(epsilon_text(*more), *more));
  }
  if (!search.empty()) return search.take();
  COPPICE_TRY(search.add_first(question, by_size, &Search::with_more_devices, cohort_text));
  COPPICE_TRY(search.add_first(question, by_size, &Search::with_more_epsilon, epsilon_text));
  if (!search.empty()) return search.take();
  PrivacyQuestion largest = question;
  largest.epsilon = std::max(question.epsilon, kMostEpsilon);
  COPPICE_TRY(search.add_first(largest, by_size, &Search::with_more_devices,
                               [](const PrivacyQuestion& made) {
                                 return cat(cohort_text(made), " and ", epsilon_text(made));
                               }));
  return search.take();
}

std::uint64_t cohort_at_same_rate(const PrivacyQuestion& question, const PrivacyAnswer& answer) {
  return static_cast<std::uint64_t>(std::llround(
      two_digits_up(answer.noise_multiplier * std::sqrt(static_cast<double>(question.parameters)) /
                    kMostNoiseOverClip)));
}

} // namespace coppice
