// SPDX-License-Identifier: Apache-2.0
// Secure aggregation: first byte 0, a message as an authenticated but hostile peer sends it; 1 and
// 2, a device's and the server's state under a good checksum. What reads, writes the same bytes,
// and a state that reads is one that its machine can go on from, whatever it is told.
#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/protocol/samples.h"
#include "tests/protocol/secagg_samples.h"

namespace coppice {
namespace {

enum Kind : std::uint8_t { kMessage, kDeviceState, kServerState };

// Lists grow as their elements come, by doubling, and a member takes 340 bytes in memory for at
// least 152 of input.
constexpr std::size_t most_for(std::size_t input) { return 5 * input + AllocationLimit::kSlack; }

Bytes tagged(Kind kind, Bytes bytes) {
  bytes.insert(bytes.begin(), kind);
  return bytes;
}

void try_message(ByteSpan bytes) {
  const AllocationLimit limit(most_for(bytes.size()));
  const auto message = decode_secagg(bytes);
  if (!message) return;
  const Bytes again = encode_secagg(*message);
  COPPICE_CHECK(std::ranges::equal(again, bytes));
}

template <typename Machine, typename Context>
std::optional<Machine> read_state(const Context& context, const Bytes& state) {
  const AllocationLimit limit(most_for(state.size()));
  auto machine = Machine::restore(context, state);
  if (!machine) return std::nullopt;
  COPPICE_CHECK(machine->serialize() == state);
  return std::move(*machine);
}

void try_device(const Bytes& state) {
  static const auto kMessages = samples::secagg_messages();
  auto device = read_state<SecAggClient>(samples::secagg_device(), state);
  if (!device) return;
  device->say_again();
  std::ignore = device->masks();
  for (const SecAggMessage& message : kMessages) device->handle(message);
}

void try_server(const Bytes& state) {
  static const SigningKey kDevice = samples::device_key();
  static const auto kMessages = samples::secagg_messages();
  auto server = read_state<SecAggServer>(samples::secagg_aggregator(), state);
  if (!server) return;
  for (const ClientId& client : server->awaited()) {
    server->member_back(client);
    for (const SecAggMessage& message : kMessages) {
      server->handle(client, message, kDevice.public_key(), {});
    }
  }
  server->close_roster();
  server->close_sharing();
  server->close_sum(server->awaited());
  server->give_up_waiting();
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  std::vector<Bytes> seeds;
  for (const SecAggMessage& message : samples::secagg_messages()) {
    seeds.push_back(tagged(kMessage, encode_secagg(message)));
  }
  for (const Bytes& state : samples::secagg_device_states()) {
    seeds.push_back(tagged(kDeviceState, state));
  }
  for (const Bytes& state : samples::secagg_server_states()) {
    seeds.push_back(tagged(kServerState, state));
  }
  return seeds;
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  if (size == 0) return 0;
  const ByteSpan bytes(data + 1, size - 1);
  if (data[0] == kMessage) try_message(bytes);
  if (bytes.size() < Sha256::kSize) return 0;
  const Bytes state = samples::with_checksum(Bytes(bytes.begin(), bytes.end()));
  if (data[0] == kDeviceState) try_device(state);
  if (data[0] == kServerState) try_server(state);
  return 0;
}
