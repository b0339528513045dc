#pragma once

#include <memory>

#include <sluice/service/runtime.h>
#include <sluice/status/config.h>

namespace sluice::status {

/// Live charts of the whole platform on the ops port of one service: /status is the page,
/// /status/data what it draws, read from Prometheus by a fixed set of queries (see panels.h).
///
/// The figures are of all tenants together, so they are shown to whom /metrics is shown, by the
/// same token, and to no operator of a tenant. Prometheus is asked only while somebody looks, by
/// one thread of this, so that neither many readers nor a slow Prometheus reach the ops port's
/// thread.
///
/// Metric: sluice_status_refreshes_total{outcome}.
class StatusPage {
 public:
  /// Puts its pages on the ops port and itself under the process' life; so before wait(), and it
  /// must outlive that.
  StatusPage(const Config& config, service::Runtime& runtime);
  ~StatusPage();
  StatusPage(const StatusPage&) = delete;
  StatusPage& operator=(const StatusPage&) = delete;

  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::status
