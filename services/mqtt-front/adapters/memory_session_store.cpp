#include "adapters/memory_session_store.h"

#include "adapters/memory_session_store_state.h"

#include <utility>

namespace sluice::front {
namespace {

Error unstored() {
  return Error(ErrorCode::kUnimplemented, "release() brings everything to a store in memory");
}

}  // namespace

class MemorySessionStore::Handle final : public SessionStore {
 public:
  Handle(std::shared_ptr<State> state, MemoryFrontPtr front, LoopPost post)
      : state_(std::move(state)), front_(std::move(front)), post_(std::move(post)) {}

  bool is_durable() const override { return false; }
  bool lease_is_valid(MonoTime) const override { return front_ && front_->is_alive.load(); }

  void claim(const SessionKey& key, ClaimRequest request, Done<ClaimOutcome> done) override {
    answer(std::move(done), state_->claim(front_, key, std::move(request)));
  }
  void release(const SessionKey& key, Epoch epoch, Release release, Done<void> done) override {
    answer(std::move(done), state_->release(key, epoch, std::move(release)));
  }
  void put_subscription(const SessionKey&, Epoch, const StoredSubscription&,
                        Done<void> done) override {
    answer(std::move(done), Result<>(fail(unstored())));
  }
  void remove_subscription(const SessionKey&, Epoch, std::string_view, std::string_view,
                           Done<void> done) override {
    answer(std::move(done), Result<>(fail(unstored())));
  }
  void put_delivery(const SessionKey&, Epoch, const mqtt::Delivery&, Done<void> done) override {
    answer(std::move(done), Result<>(fail(unstored())));
  }
  void update_delivery(const SessionKey&, Epoch, const mqtt::Delivery&) override {}
  void remove_delivery(const SessionKey&, Epoch, std::uint64_t) override {}
  void put_inbound(const SessionKey&, Epoch, std::uint16_t, Done<void> done) override {
    answer(std::move(done), Result<>(fail(unstored())));
  }
  void remove_inbound(const SessionKey&, Epoch, std::uint16_t, Done<void> done) override {
    answer(std::move(done), Result<>(fail(unstored())));
  }
  void locate(const SessionKey& key, Done<Place> done) override {
    answer(std::move(done), Result<Place>(state_->locate(key)));
  }
  void enqueue(const SessionKey& key, const mqtt::Delivery& delivery, Done<void> done) override {
    answer(std::move(done), state_->enqueue(key, delivery));
  }
  void remove_ended(const SessionKey&, std::uint64_t) override {}  // nothing of it is kept
  void put_wide(const SessionKey& key, Epoch, const StoredSubscription& subscription,
                Done<void> done) override {
    answer(std::move(done), state_->fronts().put_wide(key, subscription));
  }
  void remove_wide(const SessionKey& key, std::string_view filter, std::string_view group,
                   Done<void> done) override {
    answer(std::move(done), state_->fronts().remove_wide(key, filter, group));
  }
  void put_retained(const mqtt::MessagePtr& message, WhenAway, Done<void> done) override {
    answer(std::move(done), state_->fronts().put_retained(message));
  }
  void remove_retained(std::string_view topic, WhenAway, Done<void> done) override {
    answer(std::move(done), state_->fronts().remove_retained(topic));
  }

 private:
  template <typename T>
  void answer(Done<T> done, Result<T> result) {
    post_([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  }

  std::shared_ptr<State> state_;  // shared with the store
  MemoryFrontPtr front_;
  LoopPost post_;
};

MemorySessionStore::MemorySessionStore(const SessionStoreConfig& config, const Clock& clock,
                                       Registry& registry)
    : state_(std::make_shared<State>(config, clock, registry)) {}
MemorySessionStore::~MemorySessionStore() = default;

void MemorySessionStore::add_front(const FrontId& front, std::string address,
                                   SessionStoreListener& listener, LoopPost post) {
  auto made = std::make_shared<MemoryFront>();
  made->id = front;
  made->address = std::move(address);
  made->listener = &listener;
  made->post = std::move(post);
  state_->fronts().add(std::move(made));
}
void MemorySessionStore::remove_front(const FrontId& front) { state_->remove_front(front); }
std::unique_ptr<SessionStore> MemorySessionStore::for_loop(const FrontId& front, LoopPost post) {
  return std::make_unique<Handle>(state_, state_->fronts().find(front), std::move(post));
}
void MemorySessionStore::tick(MonoTime now) { state_->tick(now); }

}  // namespace sluice::front
