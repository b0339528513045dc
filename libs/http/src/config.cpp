#include <sluice/http/config.h>

#include <chrono>

namespace sluice::http {

using namespace std::chrono_literals;

void Config::declare(Settings& settings) {
  const Config fallback;
  settings.listen_address("http_listen", &listen, "127.0.0.1:8443",
                          "Where the operator API listens. Off loopback it needs a certificate.");
  settings.text("http_tls_cert_file", &tls_cert_file, "", {},
                "Certificate and chain of the operator API, PEM; followed when it is renewed.");
  settings.text("http_tls_key_file", &tls_key_file, "", {},
                "Private key of that certificate, PEM.");
  settings.integer("http_threads", &threads, fallback.threads, {.min = 1, .max = 1024},
                   "Requests being handled at once.");
  settings.integer("http_max_connections", &max_connections, fallback.max_connections,
                   {.min = 1, .max = 100'000},
                   "Connections open at once; idle ones hold no thread.");
  settings.integer("http_max_connections_per_address", &max_connections_per_address,
                   fallback.max_connections_per_address, {.min = 0, .max = 100'000},
                   "The same of one IPv4 address or IPv6 /64, so that nobody can take them all; 0 "
                   "where a balancer hides the addresses.");
  settings.integer("http_max_waiting", &max_waiting, fallback.max_waiting,
                   {.min = 1, .max = 100'000},
                   "Requests waiting for a thread; beyond it the answer is 503.");
  settings.integer("http_max_requests_per_connection", &max_requests_per_connection,
                   fallback.max_requests_per_connection, {.min = 1, .max = 1'000'000},
                   "After so many the connection is closed, so that load spreads over new pods.");
  settings.duration("http_head_timeout", &head_timeout, fallback.head_timeout,
                    {.min = 100ms, .max = 1min}, "TLS handshake and request head, in all.");
  settings.duration("http_idle_timeout", &idle_timeout, fallback.idle_timeout,
                    {.min = 100ms, .max = 10min}, "Between two requests of a connection.");
  settings.duration("http_io_timeout", &io_timeout, fallback.io_timeout,
                    {.min = 100ms, .max = 5min}, "One wait for a peer to send or take body bytes.");
  settings.duration("http_request_timeout", &request_timeout, fallback.request_timeout,
                    {.min = 100ms, .max = 10min},
                    "All of reading a body that is held in memory, and of sending such an answer.");
  settings.duration("http_upload_timeout", &upload_timeout, fallback.upload_timeout,
                    {.min = 1s, .max = 24h},
                    "All of reading a streamed body, and of sending a streamed answer.");
  settings.duration("http_drain_timeout", &drain_timeout, fallback.drain_timeout,
                    {.min = 0ms, .max = 10min},
                    "How long requests in hand may take when the service ends.");
  settings.bytes("http_max_body", &max_body, fallback.max_body, {.min = 1_KiB, .max = 64_MiB},
                 "Largest request body that is held in memory.");
  settings.bytes("http_max_upload", &max_upload, fallback.max_upload,
                 {.min = 1_KiB, .max = Bytes{64ULL << 30}}, "Largest streamed request body.");
  settings.number("http_rate_per_second", &rate_per_second, fallback.rate_per_second,
                  {.min = 0, .max = 1'000'000}, "Requests of one caller, sustained; 0: no limit.");
  settings.integer("http_rate_burst", &rate_burst, fallback.rate_burst,
                   {.min = 1, .max = 1'000'000}, "Requests of one caller at once.");
  settings.number("http_anonymous_rate_per_second", &anonymous_rate_per_second,
                  fallback.anonymous_rate_per_second, {.min = 0, .max = 1'000'000},
                  "Requests without proven caller from one address, sustained; 0: no limit.");
  settings.integer("http_anonymous_rate_burst", &anonymous_rate_burst,
                   fallback.anonymous_rate_burst, {.min = 1, .max = 1'000'000},
                   "Requests without proven caller from one address at once.");
  settings.rule([this] {
    std::vector<FieldFault> faults;
    if (tls_cert_file.empty() != tls_key_file.empty()) {
      faults.push_back(
          {"http_tls_cert_file",
           "http_tls_cert_file and http_tls_key_file go together: set both or neither"});
    }
    return faults;
  });
}

}  // namespace sluice::http
