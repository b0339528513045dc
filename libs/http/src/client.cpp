#include <sluice/http/client.h>

#include "head.h"
#include "tls_context.h"
#include "url.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <httplib.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::http {
namespace {

using namespace std::chrono_literals;

// httplib reads status lines of up to 32 KiB with a regular expression, which takes 10 MiB of stack
// for the longest of them: with a thread's usual 8 MiB a server could end our process.
constexpr std::size_t kStackSize = 32 << 20;
// Between cuts of a call that is late. A socket that was cut before it connected connects all the
// same, and a name may have further addresses.
constexpr std::chrono::milliseconds kCutInterval = 20ms;

Result<> check_headers(const ClientRequest& request) {
  if (!is_valid_header(request.method, ""))
    return fail(ErrorCode::kInvalidArgument, "the method is malformed");
  for (const auto& [name, value] : request.headers) {
    const bool is_ours = equal_ignoring_case(name, "Host") ||
                         equal_ignoring_case(name, "Connection") ||
                         equal_ignoring_case(name, "Accept-Encoding") ||
                         equal_ignoring_case(name, "Content-Length") ||
                         equal_ignoring_case(name, "Transfer-Encoding");
    if (is_ours || !is_valid_header(name, value)) {
      return fail(ErrorCode::kInvalidArgument, "a header cannot be sent: " + name);
    }
  }
  return {};
}

/// One request and its answer. httplib runs on a thread of its own, and the caller's thread waits
/// for it and cuts its socket when the time is over: httplib's timeouts are for each wait, so that
/// a server that drips would never meet one, and its stop() waits for a lock that is held while it
/// connects and shakes hands.
class Call {
 public:
  Call(const ClientConfig& config, const ClientRequest& request, const Url& url)
      : config_(config), request_(request), url_(url) {}
  ~Call() {
    if (socket_ >= 0) close(socket_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Result<ClientResponse> run();

 private:
  static void* work(void* self);
  Result<ClientResponse> exchange();
  Result<ClientResponse> exchange_over(httplib::ClientImpl& connection);
  void follow(int socket);
  bool is_believed(ssl_st* ssl);
  bool take_head(const httplib::Response& response);
  bool take_piece(std::string_view piece);
  bool refuse(ErrorCode code, std::string message);
  Error error_of(httplib::Error error) const;

  const ClientConfig& config_;
  const ClientRequest& request_;
  const Url& url_;

  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  int socket_ =
      -1;  // a duplicate: httplib may close its own, and the number be another's, any time
  // The other thread's until it has ended, from here on.
  Result<ClientResponse> result_ = fail(ErrorCode::kInternal, "not sent");
  ClientResponse answer_;
  std::optional<Error> refusal_;  // why we broke off
  bool has_shaken_hands_ = false;
};

Result<ClientResponse> Call::run() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  // httplib writes to sockets in a way that can raise SIGPIPE when the peer has left or we have cut
  // the connection. Blocked, it waits at this thread alone and ends with it.
  sigset_t all;
  sigfillset(&all);
  pthread_attr_setsigmask_np(&attributes, &all);
  pthread_t thread{};
  const int outcome = pthread_create(&thread, &attributes, work, this);
  pthread_attr_destroy(&attributes);
  if (outcome != 0) return fail(ErrorCode::kResourceExhausted, "no thread for the call");

  bool is_late = false;
  {
    std::unique_lock lock(mutex_);
    const auto has_ended = [this] { return has_ended_; };
    is_late = !ended_.wait_for(lock, config_.timeout, has_ended);
    while (!ended_.wait_for(lock, is_late ? kCutInterval : 0ms, has_ended)) {
      if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
    }
  }
  pthread_join(thread, nullptr);
  // Whatever came of it: to a body without a length the cut looks like its end.
  if (is_late) return fail(ErrorCode::kDeadlineExceeded, "no whole answer came in time");
  return std::move(result_);
}

void* Call::work(void* self) {
  Call& call = *static_cast<Call*>(self);
  try {
    call.result_ = call.exchange();
  } catch (const std::exception& e) {
    call.result_ = fail(ErrorCode::kUnavailable, std::string("exception: ") + e.what());
  }
  std::lock_guard lock(call.mutex_);
  call.has_ended_ = true;
  call.ended_.notify_all();
  return nullptr;
}

Result<ClientResponse> Call::exchange() {
  if (!url_.is_tls) {
    httplib::ClientImpl connection(url_.host, url_.port);
    return exchange_over(connection);
  }
  httplib::SSLClient connection(url_.host, url_.port);
  if (!connection.is_valid()) return fail(ErrorCode::kInternal, "no TLS context");
  // Made anew for each call: authorities and certificates may have been renewed, calls are rare,
  // and reading a bundle takes a few milliseconds.
  SLUICE_TRY(prepare_client_context(connection.ssl_context(), url_.host, config_.tls_cert_file,
                                    config_.tls_key_file));
  if (!config_.ca_file.empty()) connection.set_ca_cert_path(config_.ca_file);
  // Instead of httplib's own check, which falls back to common names and compares addresses by as
  // many bytes as ours has, not theirs.
  connection.set_server_certificate_verifier([this](SSL* ssl) { return is_believed(ssl); });
  return exchange_over(connection);
}

Result<ClientResponse> Call::exchange_over(httplib::ClientImpl& connection) {
  connection.set_connection_timeout(config_.connect_timeout);
  connection.set_read_timeout(config_.timeout);
  connection.set_write_timeout(config_.timeout);
  connection.set_tcp_nodelay(true);
  connection.set_keep_alive(false);
  connection.set_follow_location(false);
  connection.set_decompress(false);
  connection.set_url_encode(false);  // the target is checked, and "+" must stay "+"
  connection.set_socket_options([this](int socket) { follow(socket); });

  httplib::Request request;
  request.method = request_.method;
  request.path = url_.target;
  request.body = request_.body;
  for (const auto& [name, value] : request_.headers) request.headers.emplace(name, value);
  request.headers.emplace("Host", url_.authority);
  request.headers.emplace("Accept-Encoding", "identity");
  request.response_handler = [this](const httplib::Response& head) { return take_head(head); };
  request.content_receiver = [this](const char* bytes, std::size_t size, std::uint64_t,
                                    std::uint64_t) { return take_piece({bytes, size}); };

  httplib::Response response;
  httplib::Error error = httplib::Error::Success;
  const bool is_whole = connection.send(request, response, error);
  if (refusal_) return fail(*std::move(refusal_));
  if (!is_whole) return fail(error_of(error));
  // The handler is not asked about answers that have no body by their kind.
  if (answer_.status == 0 && !take_head(response)) return fail(*std::move(refusal_));
  return std::move(answer_);
}

void Call::follow(int socket) {
  const int duplicate = fcntl(socket, F_DUPFD_CLOEXEC, 0);
  std::lock_guard lock(mutex_);
  if (socket_ >= 0) close(socket_);
  socket_ = duplicate;
}

bool Call::is_believed(ssl_st* ssl) {
  // httplib repeats a request whose connection ended before an answer. Whether that may be done is
  // for the caller to say, who may have asked for something to be done once.
  if (std::exchange(has_shaken_hands_, true)) {
    return refuse(ErrorCode::kUnavailable, "the connection ended before an answer");
  }
  const long verified = SSL_get_verify_result(ssl);
  if (verified == X509_V_OK && SSL_get0_peer_certificate(ssl) != nullptr) return true;
  return refuse(ErrorCode::kUnauthenticated, std::string("certificate not believed: ") +
                                                 X509_verify_cert_error_string(verified));
}

bool Call::take_head(const httplib::Response& response) {
  answer_.status = response.status;
  for (const auto& [name, value] : response.headers) answer_.headers.add(name, value);
  if (response.status < 200) return refuse(ErrorCode::kUnavailable, "the answer is malformed");
  const auto framing = framing_of(answer_.headers);
  if (!framing) return refuse(ErrorCode::kUnavailable, framing.error().message());
  const bool has_body =
      request_.method != "HEAD" && response.status != 204 && response.status != 304;
  if (has_body && framing->content_length.value_or(0) > config_.max_response.count) {
    return refuse(ErrorCode::kResourceExhausted, "the answer is too large");
  }
  return true;
}

bool Call::take_piece(std::string_view piece) {
  if (answer_.body.size() + piece.size() > config_.max_response.count) {
    return refuse(ErrorCode::kResourceExhausted, "the answer is too large");
  }
  answer_.body += piece;
  return true;
}

bool Call::refuse(ErrorCode code, std::string message) {
  refusal_ = Error(code, std::move(message));
  return false;
}

Error Call::error_of(httplib::Error error) const {
  switch (error) {
    case httplib::Error::ConnectionTimeout:
      return Error(ErrorCode::kDeadlineExceeded, "could not connect in time");
    case httplib::Error::SSLLoadingCerts:
      return Error(ErrorCode::kFailedPrecondition, "ca_file cannot be used: " + config_.ca_file);
    default:
      return Error(ErrorCode::kUnavailable, httplib::to_string(error));
  }
}

}  // namespace

struct Client::Impl {
  const ClientConfig config;
};

Client::Client(ClientConfig config)
    : impl_(std::make_unique<Impl>(Impl{.config = std::move(config)})) {}
Client::~Client() = default;

Result<ClientResponse> Client::send(const ClientRequest& request) const {
  SLUICE_TRY_ASSIGN(const Url url, parse_url(request.url));
  SLUICE_TRY(check_headers(request));
  if (!url.is_tls && !impl_->config.allow_plaintext && !url.is_loopback()) {
    return fail(ErrorCode::kInvalidArgument, "the URL must be https:// for another machine");
  }
  auto answer = Call(impl_->config, request, url).run();
  if (!answer) return fail(std::move(answer).error().context(url.authority));
  return answer;
}

Result<ClientResponse> Client::get(std::string url) const {
  return send({.method = "GET", .url = std::move(url)});
}

}  // namespace sluice::http
