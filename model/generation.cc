// SPDX-License-Identifier: Apache-2.0
// What engine.h says of texts written side by side, for any engine.
#include <deque>

#include "model/engine.h"

namespace coppice {
namespace {

class OneByOne final : public GenerationSession {
 public:
  explicit OneByOne(Engine& engine) : engine_(engine) {}
  Result<std::size_t> add(GenerateRequest request) override {
    waiting_.push_back(std::move(request));
    return added_++;
  }
  Result<std::vector<Ended>> step() override {
    std::vector<Ended> ended;
    if (waiting_.empty()) return ended;
    const std::size_t number = added_ - waiting_.size();
    const GenerateRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    ended.push_back({.number = number, .result = COPPICE_TRY(engine_.generate(request))});
    return ended;
  }
  std::size_t texts() const override { return waiting_.size(); }

 private:
  Engine& engine_;
  std::size_t added_ = 0;
  std::deque<GenerateRequest> waiting_;
};

} // namespace

Result<std::unique_ptr<GenerationSession>> Engine::start_generation() {
  return std::unique_ptr<GenerationSession>(std::make_unique<OneByOne>(*this));
}

Result<std::vector<GenerateResult>> generate_all(Engine& engine,
                                                 std::vector<GenerateRequest> requests,
                                                 std::size_t at_once,
                                                 const std::function<bool()>& go_on) {
  const auto session = COPPICE_TRY(engine.start_generation());
  GenerateResult unwritten;
  unwritten.stop = GenerateStop::kCaller;
  std::vector<GenerateResult> results(requests.size(), unwritten);
  std::size_t next = 0;
  while (next < requests.size() || session->texts() > 0) {
    while (next < requests.size() && session->texts() < at_once) {
      if (go_on && !go_on()) {
        next = requests.size();
        break;
      }
      COPPICE_TRY(session->add(std::move(requests[next++])));
    }
    for (auto& ended : COPPICE_TRY(session->step())) {
      results[ended.number] = std::move(ended.result);
    }
  }
  return results;
}

} // namespace coppice
