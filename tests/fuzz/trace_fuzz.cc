// SPDX-License-Identifier: Apache-2.0
// Availability traces: what is accepted has one text, and answers at any time.
#include <limits>

#include "base/check.h"
#include "sim/availability.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {
Bytes text(std::string_view words) { return {words.begin(), words.end()}; }
} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {text("coppice-trace 1 100\n0-5 10-20 90-100\n\n7-8\n"), text("coppice-trace 1 1\n0-1\n"),
          text(Availability::by_hours(1, 2).text())};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  // A line's end alone is a trace: eight bytes in a vector that doubles.
  const AllocationLimit limit(16 * size + AllocationLimit::kSlack);
  const auto parsed = Availability::parse(as_text(ByteSpan(data, size)));
  if (!parsed.ok()) return 0;
  COPPICE_CHECK(parsed->text() == as_text(ByteSpan(data, size)));
  for (std::uint32_t trace = 0; trace < parsed->traces(); ++trace) {
    for (const std::int64_t second :
         {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::int64_t>::max()}) {
      if (!parsed->available(trace, second)) continue;
      COPPICE_CHECK(parsed->seconds_left(trace, second) > 0);
    }
  }
  return 0;
}
