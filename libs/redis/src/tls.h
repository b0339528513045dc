#pragma once

#include <memory>
#include <string>

#include <sluice/base/result.h>
#include <sluice/redis/config.h>

struct ssl_ctx_st;
struct redisContext;

namespace sluice::redis {

/// Makes TLS sessions for connections to Redis. hiredis has such a helper, but it does not compare
/// the server's name with its certificate; this does, which is why OpenSSL is used here directly.
class TlsSessions {
 public:
  static Result<TlsSessions> open(const Config& config);

  /// Begins TLS on `connection`, which will accept only a certificate for `host`. Reads the files
  /// anew, as connections are rare and what they hold is renewed; files that cannot be used, as
  /// while they are written, leave what was read before.
  Result<void> start(redisContext& connection, const std::string& host);

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  using Context = std::unique_ptr<ssl_ctx_st, Free>;

  static Result<Context> read(const Config& config);

  Config config_;
  Context context_;
};

}  // namespace sluice::redis
