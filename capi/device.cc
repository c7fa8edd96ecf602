// SPDX-License-Identifier: Apache-2.0
// A device of a fleet: its folder, enrolment, and taking part in rounds.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/text.h"
#include "capi/handles.h"
#include "client/agent.h"
#include "client/device_setup.h"
#include "client/enroll.h"
#include "client/linux_conditions.h"
#include "client/settings_file.h"
#include "config/overrides.h"
#include "model/native/native_engine.h"

struct coppice_device {
  explicit coppice_device(coppice::DeviceFolder where, coppice::ClientSettings owners)
      : folder(std::move(where)), settings(std::move(owners)) {}

  coppice::DeviceFolder folder;
  coppice::ClientSettings settings;
  std::mutex mutex;                  // of `running`
  coppice::Agent* running = nullptr; // by run(), for stop() of another thread
};

namespace coppice {
namespace {

Result<void> open_device(const char* directory, const coppice_device_options* given,
                         coppice_device** device) {
  if (directory == nullptr || device == nullptr) return missing("directory and device");
  const auto options = COPPICE_TRY(read_options(given));
  if (options.setting_count > 0 && options.settings == nullptr) return missing("settings");
  std::vector<std::string> assignments;
  for (std::size_t i = 0; i < options.setting_count; ++i) {
    if (options.settings[i] == nullptr) return missing("a setting");
    assignments.emplace_back(options.settings[i]);
  }
  const auto overrides = COPPICE_TRY(parse_overrides(assignments, "settings"));
  const DeviceFolder folder{fs::path(directory)};
  std::error_code code;
  if (!fs::exists(folder.directory() / "client.toml", code)) {
    if (options.model == nullptr || options.data == nullptr) {
      return Error{ErrorCode::kNotFound, cat(directory,
                                             " is not a device's folder; name model and "
                                             "data to make one")};
    }
    COPPICE_TRY(set_up_device({.directory = folder.directory(),
                               .model = options.model,
                               .data = options.data,
                               .overrides = overrides}));
  }
  ClientSettings settings =
      COPPICE_TRY(load_client_settings(folder.directory(), process_environment(), overrides));
  if (settings.resources.engine != "native") {
    return Error{ErrorCode::kUnsupported,
                 "set resources.engine = \"native\": this library has no "
                 "other engine"};
  }
  *device = new coppice_device(folder, std::move(settings));
  return {};
}

Result<void> enroll_device(coppice_device* device, const char* text, std::uint32_t timeout_ms) {
  if (device == nullptr || text == nullptr) return missing("device and invite");
  const Invite invite = COPPICE_TRY(decode_invite(trim(text)));
  Ledger ledger = COPPICE_TRY(Ledger::open(device->folder.ledger_path()));
  COPPICE_TRY(enroll(device->folder, invite, device->settings.model, ledger, SystemClock(),
                     Millis{timeout_ms}));
  return {};
}

AgentOptions agent_options(const ClientSettings& settings, const coppice_run_options& options) {
  AgentOptions made;
  made.settings = settings;
  made.conditions = std::make_unique<LinuxConditions>();
  auto base = std::make_shared<std::shared_ptr<const BaseModel>>(); // mapped once
  made.engine = [base, settings]() -> Result<std::unique_ptr<Engine>> {
    if (!*base) *base = COPPICE_TRY(BaseModel::open(settings.model));
    return open_native_engine(*base, {.threads = settings.resources.threads,
                                      .activation_bytes = settings.resources.memory_bytes,
                                      .precision = settings.resources.precision});
  };
  if (options.on_event != nullptr) {
    made.on_event = [options](const std::string& line) {
      options.on_event(options.context, line.c_str());
    };
  }
  return made;
}

// Stops an agent when time is up.
class Deadline {
 public:
  Deadline(Agent& agent, std::uint32_t after_ms) {
    if (after_ms == 0) return;
    thread_ = std::thread([this, &agent, after_ms] {
      std::unique_lock lock(mutex_);
      const auto over = [this] { return over_; };
      if (changed_.wait_for(lock, std::chrono::milliseconds(after_ms), over)) return;
      passed_ = true;
      agent.stop();
    });
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { end(); }
  // Whether it passed; it can't any more afterwards.
  bool end() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    return passed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  bool passed_ = false;
  std::thread thread_;
};

// The agent is stop()'s to find while it runs.
class Running {
 public:
  Running(coppice_device& device, Agent& agent) : device_(device) {
    const std::lock_guard lock(device_.mutex);
    device_.running = &agent;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    const std::lock_guard lock(device_.mutex);
    device_.running = nullptr;
  }

 private:
  coppice_device& device_;
};

Result<void> run(coppice_device* device, const coppice_run_options* given) {
  if (device == nullptr) return missing("device");
  const auto options = COPPICE_TRY(read_options(given));
  const SystemClock clock;
  const auto agent =
      COPPICE_TRY(Agent::open(device->folder, agent_options(device->settings, options), clock));
  AgentLimits limits;
  if (options.until_release > 0) limits.until_release = AdapterVersion{options.until_release};
  limits.timeout = Millis{options.silence_ms};
  const Running running(*device, *agent);
  Deadline deadline(*agent, options.deadline_ms);
  const AgentEnd end = COPPICE_TRY(agent->run(limits));
  const bool late = deadline.end() && end == AgentEnd::kStopped;
  if (late) return Error{ErrorCode::kDeadlineExceeded, "the run's deadline passed"};
  if (end == AgentEnd::kTimedOut) {
    return Error{ErrorCode::kDeadlineExceeded, "nothing was heard of the aggregator"};
  }
  return {};
}

Result<void> stop(coppice_device* device) {
  if (device == nullptr) return missing("device");
  const std::lock_guard lock(device->mutex);
  if (device->running != nullptr) device->running->stop();
  return {};
}

Result<void> served(coppice_device* device, coppice_adapter** adapter) {
  if (device == nullptr || adapter == nullptr) return missing("device and adapter");
  const Membership membership = COPPICE_TRY(device->folder.membership());
  const auto shared = COPPICE_TRY(device->folder.shared(membership.keys.verify));
  std::optional<Adapter> found;
  if (shared) {
    found = COPPICE_TRY(Serving(device->folder, device->settings).served_adapter(*shared));
  }
  if (!found) return Error{ErrorCode::kNotFound, "the base alone serves on this device"};
  *adapter = new coppice_adapter{std::move(*found)};
  return {};
}

} // namespace
} // namespace coppice

extern "C" {

coppice_status coppice_device_open(const char* directory, const coppice_device_options* options,
                                   coppice_device** device) {
  return coppice::at_border([&] { return coppice::open_device(directory, options, device); });
}

void coppice_device_close(coppice_device* device) { delete device; }

coppice_status coppice_device_enroll(coppice_device* device, const char* invite,
                                     uint32_t timeout_ms) {
  return coppice::at_border([&] { return coppice::enroll_device(device, invite, timeout_ms); });
}

int coppice_device_is_enrolled(const coppice_device* device) {
  int enrolled = 0;
  coppice::at_border([&]() -> coppice::Result<void> {
    enrolled = device != nullptr && device->folder.membership().ok() ? 1 : 0;
    return {};
  });
  return enrolled;
}

coppice_status coppice_device_run(coppice_device* device, const coppice_run_options* options) {
  return coppice::at_border([&] { return coppice::run(device, options); });
}

coppice_status coppice_device_stop(coppice_device* device) {
  return coppice::at_border([&] { return coppice::stop(device); });
}

coppice_status coppice_device_adapter(coppice_device* device, coppice_adapter** adapter) {
  return coppice::at_border([&] { return coppice::served(device, adapter); });
}

} // extern "C"
