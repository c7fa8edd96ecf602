// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_audit.h"

#include <algorithm>
#include <map>

#include "aggregator/client_registry.h"
#include "aggregator/fleet_folder.h"
#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/audit_log.h"
#include "cli/demo_contents.h"
#include "client/device_folder.h"
#include "client/ledger.h"
#include "protocol/envelope.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxEvidenceBytes = std::size_t{1} << 30U;

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
                     COPPICE_TRY(read_file(entry.path(), kMaxEvidenceBytes))});
  }
  return files;
}

// How many pieces of evidence hold one of the needles.
std::uint64_t search(const std::vector<Evidence>& evidence, const std::vector<Bytes>& needles,
                     const char* what, std::vector<std::string>& findings) {
  std::uint64_t found = 0;
  for (const Evidence& piece : evidence) {
    if (contains_any(piece.bytes, needles).empty()) continue;
    found += 1;
    findings.push_back(cat(what, " stands in ", piece.name));
  }
  return found;
}

Result<std::vector<Evidence>> aggregator_memory(const DemoFleet& fleet, DemoAudit& audit) {
  std::vector<Evidence> dumps;
  for (const fs::path& file : fleet.memory_dumps()) {
    dumps.push_back({"the aggregator's memory", COPPICE_TRY(read_file(file, kMaxEvidenceBytes))});
    audit.memory_bytes += dumps.back().bytes.size();
  }
  return dumps;
}

// Uploads look like noise, and no delta is outside its device. False: the audit misses an upload as
// it would be without secure aggregation.
bool audit_deltas(const std::vector<Evidence>& evidence, const std::vector<Evidence>& uploads,
                  const std::vector<AuditedDelta>& deltas, DemoAudit& audit) {
  std::vector<Bytes> needles;
  for (const AuditedDelta& delta : deltas) {
    audit.deltas_searched += 1;
    for (Bytes& needle : needles_of_delta(delta)) needles.push_back(std::move(needle));
  }
  audit.deltas_found = search(evidence, needles, "a device's delta", audit.findings);
  for (const Evidence& upload : uploads) {
    const double distance = distance_from_uniform(upload.bytes);
    audit.least_uniform = std::max(audit.least_uniform, distance);
    if (distance < kUniformWithin) continue;
    audit.uploads_not_uniform += 1;
    audit.findings.push_back(cat(upload.name, " doesn't look like noise"));
  }
  if (deltas.empty()) return false;
  Bytes unmasked;
  ring_pack(deltas.front().elements, RingBits{16}, unmasked);
  return distance_from_uniform(unmasked) >= kUniformWithin &&
         !contains_any(unmasked, needles).empty();
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
  for (Evidence& dump : COPPICE_TRY(aggregator_memory(fleet, audit))) {
    evidence.push_back(std::move(dump));
  }
  std::vector<Evidence> uploads;
  std::vector<AuditedDelta> deltas;
  std::vector<Bytes> needles;
  for (const DemoDevice& device : fleet.devices()) {
    for (const LedgerEntry& entry :
         COPPICE_TRY(read_ledger(DeviceFolder(device.folder).ledger_path()))) {
      lines.push_back({device.name, entry.bytes});
    }
    std::vector<Bytes> frames = COPPICE_TRY(read_audit_log(device.audit_log));
    for (Evidence& upload : COPPICE_TRY(opened_uploads(frames, device, folder, registry))) {
      uploads.push_back(std::move(upload));
    }
    for (AuditedDelta& delta : COPPICE_TRY(read_audit_deltas(device.audit_deltas))) {
      deltas.push_back(std::move(delta));
    }
    for (Bytes& frame : frames)
      evidence.push_back({cat("a frame of ", device.name), std::move(frame)});
    for (const std::string& secret : device.secrets) {
      audit.canaries_searched += 1;
      for (Bytes& needle : needles_for(secret)) needles.push_back(std::move(needle));
    }
  }
  audit.uploads_opened = uploads.size();
  evidence.insert(evidence.end(), uploads.begin(), uploads.end());
  audit.canaries_found = search(evidence, needles, "a secret", audit.findings);
  const bool unmasked_found = audit_deltas(evidence, uploads, deltas, audit);
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
  audit.controls_found = controls_work(records, lines, needles) && unmasked_found;
  return audit;
}

} // namespace coppice
