#include <sluice/swarm/tls.h>

#include <format>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace sluice::swarm {

namespace {

struct Free {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string last_error() {
  char text[256] = "unknown";
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return text;
}

int as_int(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, 1U << 30)); }

TlsStream::Step step_of(const SSL* ssl, int result) {
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_NONE:
      return TlsStream::Step::kDone;
    case SSL_ERROR_WANT_READ:
      return TlsStream::Step::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return TlsStream::Step::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return TlsStream::Step::kClosed;
    default:
      return TlsStream::Step::kFailed;
  }
}

}  // namespace

struct TlsSession::Impl {
  Owned<SSL_SESSION> session;
};
TlsSession::TlsSession() : impl_(std::make_unique<Impl>()) {}
TlsSession::~TlsSession() = default;
TlsSession::TlsSession(TlsSession&&) noexcept = default;
TlsSession& TlsSession::operator=(TlsSession&&) noexcept = default;

struct TlsStream::Impl {
  Owned<SSL> ssl;
};

TlsStream::TlsStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsStream::~TlsStream() {
  // As if both sides had said goodbye: OpenSSL would make the session useless otherwise.
  SSL_set_shutdown(impl_->ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

TlsStream::Step TlsStream::handshake() {
  ERR_clear_error();  // what an earlier call left would be taken for this one's
  return step_of(impl_->ssl.get(), SSL_do_handshake(impl_->ssl.get()));
}

TlsStream::Step TlsStream::read(std::span<std::byte> target, std::size_t& count) {
  ERR_clear_error();
  const int result = SSL_read(impl_->ssl.get(), target.data(), as_int(target.size()));
  count = result > 0 ? static_cast<std::size_t>(result) : 0;
  return result > 0 ? Step::kDone : step_of(impl_->ssl.get(), result);
}

TlsStream::Step TlsStream::write(std::span<const std::byte> bytes, std::size_t& count) {
  ERR_clear_error();
  const int result = SSL_write(impl_->ssl.get(), bytes.data(), as_int(bytes.size()));
  count = result > 0 ? static_cast<std::size_t>(result) : 0;
  return result > 0 ? Step::kDone : step_of(impl_->ssl.get(), result);
}

void TlsStream::shut_down() {
  if (SSL_is_init_finished(impl_->ssl.get())) SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
}

bool TlsStream::was_resumed() const { return SSL_session_reused(impl_->ssl.get()) != 0; }

struct TlsContext::Impl {
  Owned<SSL_CTX> context;

  /// OpenSSL calls it when a ticket came, in TLS 1.3 some time after the handshake.
  static int keep_session(SSL* ssl, SSL_SESSION* session) {
    auto* slot = static_cast<TlsSession*>(SSL_get_app_data(ssl));
    if (slot == nullptr) return 0;
    slot->impl_->session.reset(session);
    return 1;  // the reference is ours now
  }
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;
TlsContext::TlsContext(TlsContext&&) noexcept = default;
TlsContext& TlsContext::operator=(TlsContext&&) noexcept = default;

Result<TlsContext> TlsContext::make(Side side, const TlsOptions& options) {
  Owned<SSL_CTX> owned(
      SSL_CTX_new(side == Side::kClient ? TLS_client_method() : TLS_server_method()));
  SSL_CTX* context = owned.get();
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (!options.allow_1_3) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("{}: {}", options.ca_file, last_error()));
    }
    // Names are not checked: a load generator is pointed at addresses.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  if (!options.cert_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, options.cert_file.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("{}, {}: {}", options.cert_file, options.key_file, last_error()));
    }
  }
  if (side == Side::kServer) {
    // Without it a server that demands certificates refuses every ticket it gave out.
    constexpr std::string_view kName = "sluice-swarm";
    SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kName.data()),
                                   static_cast<unsigned>(kName.size()));
  } else {
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, &Impl::keep_session);
  }
  return TlsContext(std::make_unique<Impl>(Impl{std::move(owned)}));
}

std::unique_ptr<TlsStream> TlsContext::accept(int fd) {
  Owned<SSL> ssl(SSL_new(impl_->context.get()));
  SSL_set_fd(ssl.get(), fd);
  SSL_set_accept_state(ssl.get());
  return std::unique_ptr<TlsStream>(
      new TlsStream(std::make_unique<TlsStream::Impl>(std::move(ssl))));
}

std::unique_ptr<TlsStream> TlsContext::connect(int fd, TlsSession& session, bool resumes) {
  Owned<SSL> ssl(SSL_new(impl_->context.get()));
  SSL_set_fd(ssl.get(), fd);
  SSL_set_app_data(ssl.get(), &session);
  if (resumes && session.impl_->session) SSL_set_session(ssl.get(), session.impl_->session.get());
  SSL_set_connect_state(ssl.get());
  return std::unique_ptr<TlsStream>(
      new TlsStream(std::make_unique<TlsStream::Impl>(std::move(ssl))));
}

}  // namespace sluice::swarm
