#include "adapters/import_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>
#include <optional>
#include <utility>

#include <sluice/base/encoding.h>

#include <fcntl.h>
#include <unistd.h>

namespace sluice::registry {
namespace {

constexpr std::size_t kBlockSize = std::size_t{64} << 10;  // bytes read or hashed at a time

std::unexpected<Error> spool_error(std::string_view what, int error) {
  // A full disk passes; that it is this service's disk is nothing a sender can act on.
  return fail(Error(ErrorCode::kUnavailable,
                    std::format("{} the spool file: {}", what, std::strerror(error)))
                  .with_reason("spool_failed"));
}

}  // namespace

/// An upload in a file without a name, read back line by line once.
class ImportQueue::Spool final : public LineSource {
 public:
  Spool(std::size_t max_line, const Vault& vault) : max_line_(max_line), vault_(vault) {}
  ~Spool() override {
    if (fd_ >= 0) ::close(fd_);
  }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  Result<> open(const std::string& folder) {
    std::string path = folder + "/sluice-import-XXXXXX";
    fd_ = ::mkostemp(path.data(), O_CLOEXEC);
    if (fd_ < 0) return spool_error("make", errno);
    if (::unlink(path.c_str()) != 0) return spool_error("hide", errno);
    return {};
  }

  Result<> append(std::string_view piece) {
    hash(piece);
    while (!piece.empty()) {
      const ssize_t written = ::write(fd_, piece.data(), piece.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return spool_error("write", errno);
      piece.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  /// Ends the writing; read() begins at the first line. The fingerprint is a chain of SHA-256 over
  /// blocks of fixed size, so that it depends on the bytes alone and not on how they came in
  /// pieces.
  Result<std::string> finish() {
    hash_state_ = vault_.digest(hash_state_ + block_);
    if (::lseek(fd_, 0, SEEK_SET) != 0) return spool_error("rewind", errno);
    return to_hex(hash_state_);
  }

  Result<> read(const Line& line) override {
    bool has_begun = false;
    while (true) {
      SLUICE_TRY_ASSIGN(std::string_view rest, fill());
      if (rest.empty()) break;
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string_view part = rest.substr(0, end);
        // One byte more than allowed is enough for the importer to see that it is too long.
        line_ += part.substr(0, max_line_ + 1 - std::min(line_.size(), max_line_ + 1));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        has_begun = end == std::string_view::npos;
        if (!has_begun) SLUICE_TRY(give(line));
      }
    }
    return has_begun ? give(line) : Result<>{};
  }

 private:
  void hash(std::string_view piece) {
    while (!piece.empty()) {
      const std::size_t count = std::min(piece.size(), kBlockSize - block_.size());
      block_ += piece.substr(0, count);
      piece.remove_prefix(count);
      if (block_.size() == kBlockSize) {
        hash_state_ = vault_.digest(hash_state_ + block_);
        block_.clear();
      }
    }
  }

  Result<> give(const Line& line) {
    if (line_.ends_with('\r')) line_.pop_back();
    const auto done = line(line_, ++number_);
    line_.clear();
    return done;
  }

  /// The next bytes of the file; empty at its end.
  Result<std::string_view> fill() {
    ssize_t count = 0;
    do {
      count = ::read(fd_, bytes_.data(), bytes_.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) return spool_error("read", errno);
    return std::string_view(bytes_.data(), static_cast<std::size_t>(count));
  }

  const std::size_t max_line_;
  const Vault& vault_;
  int fd_ = -1;
  std::string block_;
  std::string hash_state_;
  std::array<char, kBlockSize> bytes_{};
  std::string line_;
  std::uint64_t number_ = 0;
};

/// One of the `max_pending` places, and of those its tenant may have, for as long as it lives.
class ImportQueue::Slot {
 public:
  static Result<Slot> claim(ImportQueue& queue, const TenantId& tenant) {
    const std::size_t limit = queue.options_.max_pending;
    const std::size_t limit_of_one = (limit + 1) / 2;
    const std::lock_guard lock(queue.pending_mutex_);
    std::size_t taken = 0;
    for (const auto& [_, count] : queue.pending_) taken += count;
    if (taken >= limit) {
      return refuse("too_many_imports", std::format("{} imports are waiting, which is all that "
                                                    "there is room for: try again later",
                                                    limit));
    }
    std::size_t& own = queue.pending_[tenant];
    if (own >= limit_of_one) {
      return refuse("too_many_imports_of_tenant",
                    std::format("{} imports of yours are waiting, which is all that one tenant "
                                "may have: try again later",
                                limit_of_one));
    }
    ++own;
    queue.pending_gauge_.add(1);
    return Slot(queue, tenant);
  }
  Slot(Slot&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), tenant_(std::move(other.tenant_)) {}
  Slot& operator=(Slot&&) = delete;
  ~Slot() {
    if (queue_ == nullptr) return;
    const std::lock_guard lock(queue_->pending_mutex_);
    const auto own = queue_->pending_.find(tenant_);
    if (--own->second == 0) queue_->pending_.erase(own);
    queue_->pending_gauge_.add(-1);
  }

 private:
  Slot(ImportQueue& queue, TenantId tenant) : queue_(&queue), tenant_(std::move(tenant)) {}

  static std::unexpected<Error> refuse(std::string reason, std::string message) {
    return fail(
        Error(ErrorCode::kResourceExhausted, std::move(message)).with_reason(std::move(reason)));
  }

  ImportQueue* queue_;
  TenantId tenant_;
};

struct ImportQueue::Job {
  Slot slot;
  Caller caller;
  std::string operation_id;
  ImportRequest request;
  std::unique_ptr<Spool> spool;
};

ImportQueue::ImportQueue(Options options, Importer& importer, const Vault& vault, Logger log,
                         Registry& registry)
    : options_(std::move(options)),
      importer_(importer),
      vault_(vault),
      log_(std::move(log)),
      registry_(registry),
      pending_gauge_(registry.gauge("sluice_registry_imports_pending",
                                    "Imports being uploaded, waiting or at work.")),
      jobs_(options_.max_pending) {
  for (std::size_t i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { work(); });
  heart_ = std::jthread([this](const std::stop_token& stop) { beat(stop); });
}

ImportQueue::~ImportQueue() { stop(); }

Result<Operation> ImportQueue::take(const Caller& caller, ImportRequest request,
                                    http::BodyReader& body) {
  SLUICE_TRY_ASSIGN(Slot slot, Slot::claim(*this, caller.tenant));
  auto spool = std::make_unique<Spool>(options_.max_line_bytes, vault_);
  SLUICE_TRY(spool->open(options_.spool_dir));
  SLUICE_TRY(body.read([&](std::string_view piece) { return spool->append(piece); }));
  SLUICE_TRY_ASSIGN(const std::string fingerprint, spool->finish());
  request.request_hash =
      std::format("{}-{}-{}", fingerprint, request.issue_tokens, request.is_dry_run);

  SLUICE_TRY_ASSIGN(Store::Begun begun, importer_.begin(caller, request));
  if (!begun.is_new) return std::move(begun.operation);
  {
    const std::lock_guard lock(alive_mutex_);
    alive_.emplace(begun.operation.id, caller);
  }
  // There is room: every job has a slot, and there are no more slots than room.
  if (!jobs_.try_push(std::make_unique<Job>(std::move(slot), caller, begun.operation.id,
                                            std::move(request), std::move(spool)))) {
    forget(begun.operation.id);
    return fail(ErrorCode::kUnavailable, "going down: send the upload again");
  }
  return std::move(begun.operation);
}

void ImportQueue::forget(const std::string& operation_id) {
  const std::lock_guard lock(alive_mutex_);
  alive_.erase(operation_id);
}

void ImportQueue::beat(const std::stop_token& stop) {
  std::unique_lock lock(alive_mutex_);
  while (!stop.stop_requested()) {
    beat_.wait_for(lock, stop, options_.heartbeat, [] { return false; });
    const std::map<std::string, Caller> alive = alive_;
    lock.unlock();
    for (const auto& [operation_id, caller] : alive) {
      // One that has just ended is refused, and one that could not be told of is told of soon.
      const auto told = importer_.keep_alive(caller, operation_id);
      if (!told && told.error().code() != ErrorCode::kAborted) {
        log_.warning("import_heartbeat_failed", told.error(), {{"operation_id", operation_id}});
      }
    }
    lock.lock();
  }
}

void ImportQueue::work() {
  while (auto popped = jobs_.pop()) {
    const std::unique_ptr<Job> job = *std::move(popped);
    const auto ended = importer_.run(job->caller, job->operation_id, job->request, *job->spool,
                                     [this] { return is_stopping_.load(); });
    forget(job->operation_id);
    const bool is_success = ended && ended->state == Operation::State::kSucceeded;
    registry_
        .counter("sluice_registry_imports_total", "Imports that ended, by how.",
                 {{"outcome", is_success ? "succeeded" : "failed"}})
        .add();
    if (!ended) {
      log_.error("import_lost", ended.error(), {{"operation_id", job->operation_id}});
    } else {
      log_.info("import_ended", {{"operation_id", job->operation_id},
                                 {"tenant", job->caller.tenant.value()},
                                 {"succeeded", is_success}});
    }
  }
}

void ImportQueue::stop() {
  is_stopping_ = true;
  jobs_.close();
  workers_.clear();
  heart_ = {};  // last: what still runs is alive
}

}  // namespace sluice::registry
