// SPDX-License-Identifier: Apache-2.0
// The aggregator's side of secure aggregation, as a pure state machine (SecAgg+, Bell et al. 2020).
//
// It learns who takes part and, at the end, the secrets that unmask one sum. It never holds masked
// vectors: aggregator/round adds each one as it comes, and memory here is O(members x degree). No
// sockets, clock or disk. Commit actions are durable before the actions after them; after a crash
// the machine is restored from the last committed bytes and asks for the rest again. Thread-
// compatible.
//
// Note [Liars]
// A message that breaks a rule puts its sender out, and nobody else: what it sent is dropped. What
// a device deals wrongly inside its share boxes shows only at the end, when its vector is in the
// sum. Then each secret that is put together is checked, mask keys by the advertised public key and
// self secrets by Note [Self commitment], and wrong shares are left out as long as enough right
// ones are there. Who dealt wrong shares, or committed to another secret, is in a sum that nobody
// can unmask: the round is abandoned whole. That is also all that a liar can do; a sum is never
// wrong, but for what a liar put into its own vector.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "protocol/secagg_graph.h"
#include "protocol/secagg_parameters.h"
#include "protocol/secagg_primitives.h"

namespace coppice {

struct SecAggServerContext {
  const SecAggPrimitives& primitives;
  Sha256 plan_hash;
  GraphAssumptions assumptions;
  std::uint32_t min_survivors = 0;
  unsigned threads = 1; // at most, for the secrets and seeds of a sum; the same come out of any
};

// A member of the roster, as the server knows it.
struct SecAggMember {
  ClientId client;
  SignedAdvert advert;
  KeyAdvert keys; // of `advert`
  SignedCertificate certificate;
};

// ---- phases ----
struct SecAggGathering { // adverts come in, until close_roster()
  std::uint8_t attempt = 0;
  std::set<ClientId> asked; // after a restart: of these alone, who advertise again
  std::map<ClientId, SecAggMember> adverts;
};
struct SecAggOpening { // the roster is committed; nonces come in, and none may be missing
  std::vector<SecAggMember> members; // in the roster's order
  Roster roster;
  Sha256 roster_hash;
  GraphParameters parameters;
  std::map<std::uint32_t, GraphNonce> nonces;
};
struct SecAggSharing { // the graph is committed; boxes come in, until close_sharing()
  std::vector<SecAggMember> members;
  Roster roster;
  Sha256 roster_hash;
  GraphParameters parameters;
  std::vector<GraphNonce> nonces;
  SecAggGraph graph;
  std::map<std::uint32_t, ShareBoxes> boxes; // by sender; without the boxes from Unmasking on
};
struct SecAggCollecting { // who shared is committed; aggregator/round takes their masked vectors
  SecAggSharing sharing;
};
struct SecAggRecovery {                          // what the answers gave so far; never on disk
  std::map<std::uint32_t, Secret<32>> secrets;   // by owner: self secret or mask key
  std::map<std::uint32_t, std::uint32_t> held;   // by owner: shares that are here
  std::map<std::uint32_t, std::uint32_t> failed; // by owner: so many contradict what it published
  std::set<std::uint32_t> suspects;              // holders of wrong shares: tried last
};
struct SecAggUnmasking { // the survivors are committed; shares come in until all can be recovered
  SecAggSharing sharing;
  SurvivorList survivors;
  std::map<std::uint32_t, UnmaskShares> answers; // by member
  std::uint32_t wanted = 0;                      // secrets
  SecAggRecovery recovery;
};
// Seeds were handed out. Never committed: what comes of them is, by whoever asked, and until then a
// restart is back in Unmasking and gets the same seeds again.
struct SecAggFinished {};
struct SecAggLost {
  std::string reason;
};
using SecAggServerPhase =
    std::variant<SecAggGathering, SecAggOpening, SecAggSharing, SecAggCollecting, SecAggUnmasking,
                 SecAggFinished, SecAggLost>;

// ---- actions ----
struct CommitSecAgg { // SecAggServer::serialize(); durable before what follows
  Bytes state;
};
// Note [Drafts]
// A message that is put together when it is sent, not before: the rosters for a thousand members
// are 100 MB, and so are the openings. Drafts of one phase share what they say and outlive the
// phase; each call gives the same message. Thread-safe.
using SecAggDraft = std::function<SecAggMessage()>;
struct SendSecAggTo {
  ClientId client;
  SecAggDraft draft;
};
struct SecAggMemberOut { // it lied, or was left behind; its part is over
  ClientId client;
  std::string reason;
};
struct CollectMasked { // masked vectors of these may come now
  std::vector<ClientId> clients;
};
// All secrets are here: subtract these from the sum, and it is the survivors' sum.
struct Unmask {
  std::vector<SignedSeed> seeds;
};
struct AbandonSecAgg {
  std::string reason;
};
using SecAggServerAction =
    std::variant<CommitSecAgg, SendSecAggTo, SecAggMemberOut, CollectMasked, Unmask, AbandonSecAgg>;

class SecAggServer {
 public:
  explicit SecAggServer(SecAggServerContext context);
  // From committed bytes, after a crash: member_back() of each device that is there goes on.
  // kCorrupt if they were damaged, kUnsupported if another version wrote them,
  // kFailedPrecondition if they are of another plan.
  static Result<SecAggServer> restore(SecAggServerContext context, ByteSpan state);

  using Actions = std::vector<SecAggServerAction>;
  // A device's message, its envelope verified; `device` and `certificate` are the registry's. What
  // does not fit the phase is ignored, what breaks a rule puts its sender out.
  Actions handle(const ClientId& from, const SecAggMessage& message, const VerifyKey& device,
                 const SignedCertificate& certificate);
  // A member left or its lease ran out. Before the nonces are all here that costs an attempt.
  Actions member_gone(const ClientId& client);
  // It is back: what it should answer is sent again. Nothing for strangers, and who was put out.
  Actions member_back(const ClientId& client);

  // The driver decides by time, and by who is still awaited; each is a no-op in another phase.
  Actions close_roster();                                    // Gathering -> Opening
  Actions close_sharing();                                   // Sharing -> Collecting
  Actions close_sum(const std::vector<ClientId>& survivors); // Collecting -> Unmasking
  // Those of awaited() count as gone, all at once; close what can go on without them. No-op in
  // Collecting.
  Actions give_up_waiting();

  // Members that the running phase still waits for; of Collecting: those that may upload.
  std::vector<ClientId> awaited() const;
  // Or its keys are here, as long as the roster is open.
  bool in_roster(const ClientId& client) const;
  // Collecting, and its boxes are committed: it may upload.
  bool may_upload(const ClientId& client) const;
  Sha256 roster_hash() const;
  std::optional<GraphParameters> parameters() const;

  const SecAggServerPhase& phase() const { return phase_; }
  const char* phase_name() const;
  // What was decided so far. Messages that came in since then are not in it: after a restart they
  // are asked for again.
  Bytes serialize() const;

 private:
  SecAggServer(SecAggServerContext context, std::set<ClientId> out, SecAggServerPhase phase);
  // secagg_server.cc: one a message
  Actions on(const ClientId& from, const SignedAdvert& advert, const VerifyKey& device,
             const SignedCertificate& certificate);
  Actions on(const ClientId& from, const NonceOpening& opening);
  Actions on(const ClientId& from, const ShareBoxes& boxes);
  Actions on(const ClientId& from, const UnmaskShares& shares);
  Actions put_out(const ClientId& client, std::string reason);
  Actions left(const ClientId& client); // what it costs the running phase
  Actions abandon(std::string reason);
  // secagg_server_phases.cc: from one phase to the next
  Actions restart();
  Actions open_graph();
  void leave_behind(Actions& actions, const ClientId& client, const char* reason);
  std::uint32_t least_members() const;
  // secagg_server_unmask.cc
  Actions go_on_unmasking();

  SecAggServerContext context_;
  std::set<ClientId> gone_; // silent: not awaited, and welcome back
  std::set<ClientId> out_;  // their part is over: ignored
  SecAggServerPhase phase_;
};

} // namespace coppice
