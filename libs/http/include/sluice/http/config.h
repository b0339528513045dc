#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/config/settings.h>

namespace sluice::http {

/// Where and within which bounds a service answers HTTP. declare() is for a service's operator API;
/// whoever opens another listener (the ops port) fills the fields itself.
struct Config {
  std::string listen = "127.0.0.1:0";
  std::string tls_cert_file;  // both or neither; neither is plain HTTP, which stays on loopback
  std::string tls_key_file;
  bool allow_plaintext_anywhere = false;  // for the ops port alone, whose prober speaks no TLS

  std::int64_t threads = 64;            // requests being handled at once
  std::int64_t max_connections = 4096;  // open at once; idle ones hold no thread
  std::int64_t max_connections_per_address =
      512;                         // IPv4 address or IPv6 /64; 0: no limit of its own
  std::int64_t max_waiting = 256;  // requests waiting for a thread; beyond it 503
  std::int64_t max_requests_per_connection = 100;

  std::chrono::milliseconds head_timeout{5'000};   // TLS handshake and request head, in all
  std::chrono::milliseconds idle_timeout{30'000};  // between two requests of a connection
  std::chrono::milliseconds io_timeout{10'000};    // one wait for a peer to send or take body bytes
  std::chrono::milliseconds request_timeout{
      60'000};  // all of reading a body that is held in memory
  std::chrono::milliseconds upload_timeout{600'000};  // all of reading a streamed body
  std::chrono::milliseconds drain_timeout{10'000};    // stop() waits this long for requests in hand

  Bytes max_body{1 << 20};         // a body held in memory
  Bytes max_upload{256ULL << 20};  // a streamed body

  double rate_per_second = 100;  // requests of one principal; 0: no limit
  std::int64_t rate_burst = 200;
  double anonymous_rate_per_second =
      20;  // open routes and failed authentication of one IP; 0: no limit
  std::int64_t anonymous_rate_burst = 50;

  void declare(Settings& settings);
};

}  // namespace sluice::http
