#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>
#include <sluice/redis/command.h>
#include <sluice/redis/config.h>
#include <sluice/redis/reply.h>

namespace sluice::redis {

/// An asynchronous client: commands of any threads are pipelined over one connection per node by
/// one I/O thread, which also follows a Cluster's redirections and reconnects.
///
/// What a result means:
///  - a Reply: Redis did it, in the order in which one thread sent commands on one key (a key whose
///    slot is moving may see its commands reordered; what must be atomic belongs in a script);
///  - kUnavailable or kDeadlineExceeded with reason "outcome_unknown": it was sent, and may or may
///  not
///    have been done. The client never repeats such a command by itself;
///  - kUnavailable, kDeadlineExceeded or kResourceExhausted without it: it was not done: never
///  sent, or
///    refused by a server that cannot serve now (reason LOADING, CLUSTERDOWN, TRYAGAIN, …). Such a
///    command is not repeated either, since later ones on the same key may be done already;
///  - kFailedPrecondition: Redis refused it; the message is Redis', the reason its first word.
/// Redis is fast and losable memory: nothing that was promised may live in it alone.
class Client {
 public:
  /// Runs on the I/O thread (or on the caller's when the command is refused at once); must not
  /// block.
  using Callback = std::move_only_function<void(Result<Reply>)>;

  /// Fails only on a configuration that cannot work; a server that is down is waited for.
  static Result<std::unique_ptr<Client>> open(Config config, const Clock& clock, Random& random,
                                              Registry& registry, Logger log);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(Command command, Callback done);
  /// Waits, at most for the command timeout. Never call it from a callback.
  Result<Reply> call(Command command);
  /// All of them in one pipeline, answers in the same order.
  std::vector<Result<Reply>> call_all(std::vector<Command> commands);

  /// Answers whether a PING of any node succeeds within the command timeout: for readiness.
  Result<> ping();

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// A Lua script, sent by its hash and in full only where a node does not have it yet.
class Script {
 public:
  explicit Script(std::string source);

  /// All keys must share a slot.
  void run(Client& client, std::vector<std::string> keys, std::vector<std::string> arguments,
           Client::Callback done) const;
  Result<Reply> call(Client& client, std::vector<std::string> keys,
                     std::vector<std::string> arguments) const;
  struct Call {
    std::vector<std::string> keys{};
    std::vector<std::string> arguments{};
  };
  /// All of them in one pipeline, answers in the same order. Waits, as Client::call_all() does.
  std::vector<Result<Reply>> call_all(Client& client, std::vector<Call> calls) const;

 private:
  std::string source_;
  std::string sha1_;
};

}  // namespace sluice::redis
