// SPDX-License-Identifier: Apache-2.0
#include "sim/cluster/backend.h"

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#ifdef USE_C10D_NCCL
#include <ATen/Context.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <cstdlib>

namespace coppice::cluster {
namespace {

using Device = ::gloo::transport::Device;

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

// The interface that GLOO_SOCKET_IFNAME names; of ranks that meet at the loopback address, that
// one; else the one that this host's name stands for.
std::shared_ptr<Device> network_device(const Rendezvous& rendezvous) {
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') {
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  }
  if (is_loopback(rendezvous.address)) {
    return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  }
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

} // namespace

CollectiveBackend make_backend(const c10::intrusive_ptr<c10d::Store>& store,
                               const Rendezvous& rendezvous, const RanksOptions& options) {
  const int rank = static_cast<int>(rendezvous.place.rank);
  const int size = static_cast<int>(rendezvous.place.size);
  const std::chrono::milliseconds wait(options.wait.count);
#ifdef USE_C10D_NCCL
  // Every rank decides alike: all have a GPU, or NCCL's own start fails by its timeout.
  if (at::globalContext().hasCUDA()) {
    auto settings = c10d::ProcessGroupNCCL::Options::create();
    settings->timeout = wait;
    return {c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, settings),
            at::Device(at::kCUDA, static_cast<at::DeviceIndex>(rendezvous.place.local_rank))};
  }
#endif
  auto settings =
      c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(options.start.count));
  settings->devices.push_back(network_device(rendezvous));
  auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, settings);
  group->setTimeout(wait);
  return {group, at::kCPU};
}

} // namespace coppice::cluster
