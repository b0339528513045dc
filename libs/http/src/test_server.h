#pragma once

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/http/server.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// What the tests of a running server share: a server with fakes behind its ports, and a client that
// sends whatever bytes it is told to.
namespace sluice::http::testing {

class NullSink final : public LogSink {
 public:
  void write(std::string_view) override {}
};

/// Takes "viewer", "operator", "admin" and "platform" as bearer credentials of tenant acme; what
/// follows a '~' is the id of the credential.
class FakeAuthenticator final : public Authenticator {
 public:
  Result<auth::Principal> authenticate(const Request& request) override {
    SLUICE_TRY_ASSIGN(std::string_view credential, bearer_credential(request));
    const std::size_t at = credential.find('~');
    const std::string id(at == std::string_view::npos ? credential : credential.substr(at + 1));
    credential = credential.substr(0, at);
    if (credential == "down") return fail(ErrorCode::kUnavailable, "the store is down");
    auth::Principal out{.tenant = TenantId("acme"),
                        .subject = std::string(credential),
                        .role = auth::Role::kViewer,
                        .credential_id = id};
    if (credential == "operator")
      out.role = auth::Role::kOperator;
    else if (credential == "admin")
      out.role = auth::Role::kAdmin;
    else if (credential == "platform") {
      out.role = auth::Role::kAdmin;
      out.tenant = TenantId(std::string(auth::kPlatformTenant));
    } else if (credential != "viewer") {
      return fail(
          Error(ErrorCode::kUnauthenticated, "no such key slk_secret").with_reason("unknown_key"));
    }
    return out;
  }
};

class FakeAudit final : public AuditSink {
 public:
  void record(const AuditEntry& entry) override {
    std::lock_guard lock(mutex_);
    entries_.push_back(entry);
  }
  std::vector<AuditEntry> entries() const {
    std::lock_guard lock(mutex_);
    return entries_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<AuditEntry> entries_;
};

class FakeIdempotency final : public IdempotencyStore {
 public:
  Result<Begin> begin(const IdempotencyKey& key) override {
    std::lock_guard lock(mutex_);
    const auto [at, is_new] = rows_.try_emplace(
        key.subject + "/" + key.key, Row{.hash = key.request_hash, .response = std::nullopt});
    if (is_new) return Begin{};
    if (at->second.hash != key.request_hash) return Begin{.state = State::kMismatch};
    if (!at->second.response) return Begin{.state = State::kInProgress};
    return Begin{.state = State::kReplay, .response = *at->second.response};
  }
  Result<> complete(const IdempotencyKey& key, const StoredResponse& response) override {
    std::lock_guard lock(mutex_);
    rows_[key.subject + "/" + key.key].response = response;
    return {};
  }
  Result<> abandon(const IdempotencyKey& key) override {
    std::lock_guard lock(mutex_);
    rows_.erase(key.subject + "/" + key.key);
    return {};
  }

 private:
  struct Row {
    std::string hash;
    std::optional<StoredResponse> response;
  };
  std::mutex mutex_;
  std::map<std::string, Row> rows_;
};

struct Answer {
  int status = 0;  // 0: the connection ended without an answer
  Headers headers;
  std::string body;
  bool is_whole = false;
};

/// A plain socket on loopback. Reads give up after ten seconds, so that a broken server fails a
/// test instead of hanging it.
class RawClient {
 public:
  /// `from` is one of the addresses of loopback, which is all of 127.0.0.0/8.
  explicit RawClient(const std::string& address, const std::string& from = "127.0.0.1")
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    inet_pton(AF_INET, from.c_str(), &own.sin_addr);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof(own)), 0);
    const std::size_t colon = address.rfind(':');
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)), 0);
  }
  ~RawClient() { leave(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void leave() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  /// The next answer of the connection.
  Answer read(bool is_head_request = false) {
    Answer out;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return out;
    }
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    out.status = std::stoi(head.substr(9, 3));
    std::size_t at = head.find("\r\n") + 2;
    while (at < head.size()) {
      const std::size_t line_end = head.find("\r\n", at);
      const std::size_t colon = head.find(": ", at);
      out.headers.add(head.substr(at, colon - at), head.substr(colon + 2, line_end - colon - 2));
      at = line_end + 2;
    }
    if (is_head_request || out.status == 204 || out.status == 304 || out.status < 200) {
      out.is_whole = true;
    } else if (out.headers.get("Transfer-Encoding")) {
      read_chunks(out);
    } else {
      const auto size = static_cast<std::size_t>(
          std::stoul(std::string(out.headers.get("Content-Length").value_or("0"))));
      while (buffer_.size() < size && more()) {
      }
      out.is_whole = buffer_.size() >= size;
      out.body = buffer_.substr(0, size);
      buffer_.erase(0, out.body.size());
    }
    return out;
  }

  Answer ask(std::string_view bytes) {
    send(bytes);
    return read();
  }

  bool has_something_within(std::chrono::milliseconds wait) {
    pollfd watched{.fd = fd_, .events = POLLIN, .revents = 0};
    return poll(&watched, 1, static_cast<int>(wait.count())) > 0;
  }

  /// Whether the server ends the connection, with nothing more to read.
  bool is_ended() {
    while (more()) {
    }
    return has_ended_ && buffer_.empty();
  }

 private:
  bool more() {
    char bytes[4096];
    const ssize_t count = recv(fd_, bytes, sizeof(bytes), 0);
    if (count <= 0) {
      has_ended_ = count == 0 || errno == ECONNRESET;
      return false;
    }
    buffer_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  void read_chunks(Answer& out) {
    while (true) {
      std::size_t end = 0;
      while ((end = buffer_.find("\r\n")) == std::string::npos) {
        if (!more()) return;
      }
      std::size_t size = 0;
      std::from_chars(buffer_.data(), buffer_.data() + end, size, 16);
      while (buffer_.size() < end + 2 + size + 2) {
        if (!more()) return;
      }
      out.body += buffer_.substr(end + 2, size);
      buffer_.erase(0, end + 2 + size + 2);
      if (size == 0) {
        out.is_whole = true;
        return;
      }
    }
  }

  int fd_;
  std::string buffer_;
  bool has_ended_ = false;
};

/// A request as text, with Host and whatever lines are given.
inline std::string request(std::string_view method, std::string_view target,
                           const std::vector<std::string>& headers = {},
                           std::string_view body = "") {
  std::string out = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n";
  for (const std::string& header : headers) out += header + "\r\n";
  if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return out + "\r\n" + std::string(body);
}

/// A server on a port of its own. Change `config` and `router` before start().
class TestServer {
 public:
  TestServer() {
    config.threads = 4;
    config.rate_per_second = 0;
    config.anonymous_rate_per_second = 0;
  }
  ~TestServer() { stop(); }

  void start() {
    server_ = std::make_unique<Server>(config, std::move(router), clock_, random_, log_, registry,
                                       Ports{.authenticator = &authenticator,
                                             .audit = &audit,
                                             .idempotency = has_store ? &store : nullptr});
    auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message();
    address = *started;
  }
  void stop() { server_.reset(); }
  Server& server() { return *server_; }

  Answer ask(std::string_view bytes) { return RawClient(address).ask(bytes); }

  Config config;
  Router router;
  Registry registry;
  FakeAuthenticator authenticator;
  FakeAudit audit;
  FakeIdempotency store;
  bool has_store = true;
  std::string address;

 private:
  SystemClock clock_;
  SystemRandom random_;
  Logger log_{"test", LogLevel::kDebug, clock_, std::make_shared<NullSink>()};
  std::unique_ptr<Server> server_;
};

}  // namespace sluice::http::testing
