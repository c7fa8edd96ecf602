// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_audit.h"

#include <algorithm>
#include <map>

#include "aggregator/client_registry.h"
#include "aggregator/fleet_folder.h"
#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/audit_log.h"
#include "client/device_folder.h"
#include "client/ledger.h"
#include "protocol/envelope.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30U;

// Everything that must not hold a secret, with a name for findings.
struct Evidence {
  std::string name;
  Bytes bytes;
};

// Uploads put together from their chunks, opened with the aggregator's key.
Result<std::vector<Evidence>> opened_uploads(const std::vector<Bytes>& frames,
                                             const DemoDevice& device, const FleetFolder& folder,
                                             const ClientRegistry& registry) {
  std::map<Sha256, Bytes> uploads;
  ClientId sender;
  for (const Bytes& frame : frames) {
    const EnvelopeHeader header = COPPICE_TRY(peek_header(frame));
    if (header.type != MessageType::kUploadChunk) continue;
    sender = header.sender;
    const VerifyKey key = COPPICE_TRY(registry.allows(sender));
    const auto verified = COPPICE_TRY(open_envelope(Frame{frame}, key, sender));
    const Message message = COPPICE_TRY(decode_message(verified));
    const auto& chunk = std::get<UploadChunk>(message);
    Bytes& upload = uploads[chunk.upload];
    upload.insert(upload.end(), chunk.data.begin(), chunk.data.end());
  }
  std::vector<Evidence> opened;
  for (const auto& [name, bytes] : uploads) {
    const EnvelopeHeader header = COPPICE_TRY(peek_header(bytes));
    const AggregatorKeys* const keys = folder.keys(header.key_set);
    if (keys == nullptr) return Error{ErrorCode::kInternal, "an upload names an unknown key set"};
    const VerifyKey key = COPPICE_TRY(registry.allows(sender));
    Upload upload = COPPICE_TRY(open_upload(bytes, key, sender, keys->seal, header.plan_hash));
    opened.push_back({cat("an opened upload of ", device.name), std::move(upload.packed)});
  }
  return opened;
}

Result<std::vector<Evidence>> aggregator_files(const fs::path& folder) {
  std::vector<Evidence> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files.push_back({cat("the aggregator's ", entry.path().filename().string()),
                     COPPICE_TRY(read_file(entry.path(), kMaxFileBytes))});
  }
  return files;
}

void search(const std::vector<Evidence>& evidence, const std::vector<Bytes>& needles,
            DemoAudit& audit) {
  for (const Evidence& piece : evidence) {
    if (contains_any(piece.bytes, needles).empty()) continue;
    audit.canaries_found += 1;
    audit.findings.push_back(cat("a secret stands in ", piece.name));
  }
}

// The audit of an audit: what is planted must be found.
bool controls_work(std::vector<TrafficRecord> records, const std::vector<LedgerLine>& lines,
                   const std::vector<Bytes>& needles) {
  // The largest frame is an upload's chunk: no ledger has a line of its size to spare.
  const auto sent = std::ranges::max_element(records, {}, [](const TrafficRecord& record) {
    return record.direction == TrafficDirection::kUp ? record.frame.plaintext_bytes : 0;
  });
  if (sent == records.end() || needles.empty()) return false;
  const std::uint64_t before = audit_traffic(records, lines).unaccounted_bytes;
  const TrafficRecord again = *sent;
  records.push_back(again); // once more, and nobody wrote it down
  const bool unledgered = audit_traffic(records, lines).unaccounted_bytes > before;
  Bytes planted(1000, 0x55);
  planted.insert(planted.begin() + 500, needles.front().begin(), needles.front().end());
  return unledgered && !contains_any(planted, needles).empty();
}

} // namespace

std::vector<Bytes> needles_for(const std::string& secret) {
  std::vector<Bytes> needles;
  needles.emplace_back(as_bytes(secret).begin(), as_bytes(secret).end());
  for (std::size_t shift = 0; shift < 3; ++shift) {
    // Characters that depend on the unknown neighbours are cut off at both ends.
    const std::string encoded = to_base64(as_bytes(std::string(shift, 'x') + secret));
    const std::size_t front = shift == 0 ? 0 : shift + 1;
    if (encoded.size() < front + 8) continue;
    const std::string sure = encoded.substr(front, encoded.size() - front - 3);
    needles.emplace_back(as_bytes(sure).begin(), as_bytes(sure).end());
  }
  return needles;
}

Result<DemoAudit> audit_demo(const DemoFleet& fleet) {
  DemoAudit audit;
  const FleetFolder folder = COPPICE_TRY(FleetFolder::open(fleet.aggregator_folder()));
  StateStore store = COPPICE_TRY(StateStore::observe(fleet.aggregator_folder()));
  const ClientRegistry registry = COPPICE_TRY(ClientRegistry::open(store.database()));
  std::vector<LedgerLine> lines;
  std::vector<Evidence> evidence = COPPICE_TRY(aggregator_files(fleet.aggregator_folder()));
  std::vector<Bytes> needles;
  for (const DemoDevice& device : fleet.devices()) {
    for (const LedgerEntry& entry :
         COPPICE_TRY(read_ledger(DeviceFolder(device.folder).ledger_path()))) {
      lines.push_back({device.name, entry.bytes});
    }
    std::vector<Bytes> frames = COPPICE_TRY(read_audit_log(device.audit_log));
    auto uploads = COPPICE_TRY(opened_uploads(frames, device, folder, registry));
    audit.uploads_opened += uploads.size();
    for (Evidence& upload : uploads) evidence.push_back(std::move(upload));
    for (Bytes& frame : frames)
      evidence.push_back({cat("a frame of ", device.name), std::move(frame)});
    for (const std::string& secret : device.secrets) {
      audit.canaries_searched += 1;
      for (Bytes& needle : needles_for(secret)) needles.push_back(std::move(needle));
    }
  }
  search(evidence, needles, audit);
  const auto records = fleet.traffic();
  const TrafficAudit traffic = audit_traffic(records, lines);
  audit.frames = traffic.frames;
  audit.bytes = traffic.bytes;
  audit.transport_bytes = traffic.transport_bytes;
  audit.unaccounted_bytes = traffic.unaccounted_bytes;
  audit.findings.insert(audit.findings.end(), traffic.findings.begin(), traffic.findings.end());
  if (!fleet.traffic_complete()) {
    audit.findings.emplace_back("the proxy saw more frames than it can keep");
    audit.unaccounted_bytes += 1;
  }
  audit.controls_found = controls_work(records, lines, needles);
  return audit;
}

} // namespace coppice
