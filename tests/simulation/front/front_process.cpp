#include "front/front_process.h"

#include "core/identity.h"
#include "front/front_loop.h"

#include <memory>
#include <utility>

namespace sluice::simulation {

Sessions::Sessions(bool is_durable) : kept_(std::make_unique<Kept>()) {
  kept_->is_durable = is_durable;
}
Sessions::~Sessions() = default;

Result<front::Authenticator::Verdict> SimAuthenticator::ask(
    const device::v1::AuthenticateRequest& request) {
  SLUICE_TRY_ASSIGN(const auto answer, registry_.authenticate(request));
  if (!answer.has_identity()) return Verdict{.refusal = "refused"};
  SLUICE_TRY_ASSIGN(auto identity, front::make_identity(answer.identity(), {.topics = topics_}));
  return Verdict{.identity = std::move(identity)};
}

void SimAuthenticator::authenticate(device::v1::AuthenticateRequest request,
                                    front::Done<Verdict> done) {
  thread_.later(world_.hop() + world_.hop(),
                [this, request = std::move(request), done = std::move(done)]() mutable {
                  done(ask(request));
                  then_();
                });
}

void TracingObserver::on_opened(const front::Client& client, std::uint64_t epoch,
                                std::string_view protocol) {
  trace_.note("opened {} {} {}", client.key().value(), epoch, protocol);
}

void TracingObserver::on_ended(const front::Client& client, std::uint64_t epoch,
                               std::string_view reason) {
  trace_.note("ended {} {} {}", client.key().value(), epoch, reason);
}

void TracingObserver::on_refused(const front::Peer&, std::string_view client_id,
                                 mqtt::ReasonCode reason, std::string_view what) {
  trace_.note("refused {} {} {}", client_id, mqtt::to_string(reason), what);
}

FrontProcess::FrontProcess(World& world, Cluster& cluster, SimRegistry& registry,
                           Sessions& sessions)
    : loop_(std::make_unique<Loop>(world, cluster, registry, sessions)) {}
FrontProcess::~FrontProcess() = default;

void FrontProcess::accept(StreamPtr stream) { loop_->accept(std::move(stream)); }

void FrontProcess::publish(std::string_view tenant, std::string_view topic,
                           std::string_view payload) {
  mqtt::Message message;
  message.topic = topic;
  message.payload = payload;
  message.qos = mqtt::Qos::kAtLeastOnce;
  loop_->publish(tenant, std::make_shared<const mqtt::Message>(std::move(message)));
}

void FrontProcess::freeze(Duration time) { loop_->thread().freeze(time); }
bool FrontProcess::is_busy() const { return loop_->thread().is_busy(); }
std::size_t FrontProcess::waiting_records() const { return loop_->waiting_records(); }
std::size_t FrontProcess::streams() const { return loop_->streams(); }

}  // namespace sluice::simulation
