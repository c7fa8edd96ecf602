// SPDX-License-Identifier: Apache-2.0
// A simulation's log: whatever is read makes a page that is well-formed, and tables.
#include "base/check.h"
#include "sim/report_page.h"
#include "sim/run_csv.h"
#include "sim/run_tensorboard.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/sim/recorded_run.h"
#include "tests/sim/well_formed.h"

namespace coppice {

std::vector<Bytes> fuzz_seeds() {
  std::vector<Bytes> seeds;
  for (const RecordedRun& run :
       {RecordedRun{.rounds = 5, .clients = 2}, RecordedRun{.rounds = 9, .clients = 0},
        RecordedRun{.rounds = 5, .clients = 1, .noise_multiplier = 1, .ends = false}}) {
    const std::string events = recorded_events(run);
    seeds.emplace_back(events.begin(), events.end());
  }
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  static const std::string manifest = recorded_manifest({});
  const auto run = parse_run(as_text(ByteSpan(data, size)), manifest);
  if (!run.ok()) {
    COPPICE_CHECK(!run.error().message.empty());
    return 0;
  }
  COPPICE_CHECK(is_well_formed(report_page({&*run, 1})));
  COPPICE_CHECK(rounds_csv(*run).empty() == run->rounds.empty());
  COPPICE_CHECK(clients_csv(*run).empty() == run->clients.empty());
  COPPICE_CHECK(tensorboard_runs(*run).size() == 3);
  return 0;
}
