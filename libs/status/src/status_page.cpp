#include <sluice/status/status_page.h>

#include "picture.h"
#include "prometheus.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <sluice/embedded/status_html.h>
#include <sluice/embedded/status_icon.h>
#include <sluice/embedded/status_script.h>
#include <sluice/embedded/status_style.h>
#include <sluice/service/periodic_task.h>

namespace sluice::status {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Points of a chart: about one for each pixel pair of the narrowest one; five minutes of 2 s.
constexpr std::size_t kPoints = 150;
/// A page asks every two seconds; who has not for so long is gone.
constexpr auto kWatchedFor = 15s;
/// A new point comes with each scrape, and a page that stands still for longer looks broken.
constexpr milliseconds kLongestRefresh{5'000};

/// Nothing but our own three files and our own data: a script that got in would do nothing.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

service::OpsPage file(std::string path, std::string content_type, std::string_view content) {
  const service::OpsResponse response{.content_type = std::move(content_type),
                                      .body = std::string(content),
                                      .headers = {{"Content-Security-Policy", std::string(kPolicy)},
                                                  {"Referrer-Policy", "no-referrer"}}};
  return {.path = std::move(path), .needs_token = false, .answer = [response] { return response; }};
}

Counter refreshes(Registry& registry, std::string_view outcome) {
  return registry.counter("sluice_status_refreshes_total",
                          "Times the status page's figures were read from Prometheus.",
                          {{"outcome", std::string(outcome)}});
}

}  // namespace

class StatusPage::Impl {
 public:
  Impl(const Config& config, const service::Runtime& runtime)
      : scrape_interval_(config.scrape_interval),
        clock_(runtime.clock()),
        log_(runtime.log()),
        succeeded_(refreshes(runtime.registry(), "ok")),
        failed_(refreshes(runtime.registry(), "error")) {
    if (config.prometheus_url.empty()) return;
    prometheus_.emplace(config.prometheus_url);
    task_.emplace(
        service::PeriodicTask::Options{.name = "status",
                                       .interval = std::min(scrape_interval_, kLongestRefresh)},
        clock_, runtime.random(), log_, runtime.registry(), [this](const std::stop_token&) {
          if (is_watched()) refresh();
          return Result<>();
        });
  }

  void stop() {
    if (task_) task_->stop();
  }

  /// On the ops port's thread: says what is known and remembers that somebody looks.
  std::string data() {
    if (!prometheus_) {
      return no_picture(State::kUnset,
                        "Set prometheus_url (SLUICE_PROMETHEUS_URL) to see figures.");
    }
    const MonoTime now = clock_.mono();
    const std::lock_guard lock(mutex_);
    const bool was_watched = asked_at_ && now - *asked_at_ < kWatchedFor;
    asked_at_ = now;
    if (was_watched && picture_) return *picture_;
    if (!was_watched) {
      picture_.reset();  // of when somebody last looked
      task_->trigger();
    }
    return no_picture(State::kWaiting, "The first figures are being read.");
  }

 private:
  bool is_watched() {
    const std::lock_guard lock(mutex_);
    return asked_at_ && clock_.mono() - *asked_at_ < kWatchedFor;
  }

  void refresh() {
    const TimeGrid grid = TimeGrid::until(clock_.wall().time_since_epoch().count(),
                                          scrape_interval_.count(), kPoints);
    const Ask ask = [this](const std::string& query, const TimeGrid& over) {
      return prometheus_->query_range(query, over);
    };
    // A rate needs two scrapes in its window; four bear one that was late and one that was missed.
    auto picture = take_picture(ask, grid, 4 * scrape_interval_);
    tell(picture);
    std::string text =
        picture ? *std::move(picture) : no_picture(State::kUnreachable, picture.error().message());
    const std::lock_guard lock(mutex_);
    picture_ = std::move(text);
  }

  /// In the log once per change, not every two seconds.
  void tell(const Result<std::string>& picture) {
    (picture ? succeeded_ : failed_).add();
    if (picture.has_value() == was_reached_) return;
    was_reached_ = picture.has_value();
    if (picture) {
      log_.info("status_prometheus_back");
    } else {
      log_.warning("status_prometheus_unreachable", picture.error());
    }
  }

  const milliseconds scrape_interval_;
  const Clock& clock_;
  const Logger log_;
  Counter succeeded_;
  Counter failed_;
  std::optional<Prometheus> prometheus_;
  bool was_reached_ = true;  // of the task's thread

  std::mutex mutex_;  // guards what follows
  std::optional<MonoTime> asked_at_;
  std::optional<std::string> picture_;

  std::optional<service::PeriodicTask> task_;  // last: ends before what it uses
};

StatusPage::StatusPage(const Config& config, service::Runtime& runtime)
    : impl_(std::make_unique<Impl>(config, runtime)) {
  runtime.add(*this);
  runtime.add_ops_page(file("/status", "text/html; charset=utf-8", embedded::status_html));
  runtime.add_ops_page(
      file("/status/status.js", "text/javascript; charset=utf-8", embedded::status_script));
  runtime.add_ops_page(
      file("/status/status.css", "text/css; charset=utf-8", embedded::status_style));
  runtime.add_ops_page(file("/status/icon.svg", "image/svg+xml", embedded::status_icon));
  runtime.add_ops_page({.path = "/status/data", .answer = [impl = impl_.get()] {
                          return service::OpsResponse{.content_type = "application/json",
                                                      .body = impl->data()};
                        }});
}

StatusPage::~StatusPage() = default;

void StatusPage::stop() { impl_->stop(); }

}  // namespace sluice::status
