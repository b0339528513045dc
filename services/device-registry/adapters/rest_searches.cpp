#include "adapters/rest_searches.h"

#include <utility>

namespace sluice::registry {
namespace {

/// A place among those that are let in; given back at its end.
class Place {
 public:
  explicit Place(std::atomic<std::size_t>& taken) : taken_(taken), number_(++taken_) {}
  ~Place() { --taken_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::size_t number() const { return number_; }

 private:
  std::atomic<std::size_t>& taken_;
  const std::size_t number_;
};

}  // namespace

Searches::Searches(List list, std::size_t max_at_once, Registry& registry)
    : list_(std::move(list)),
      max_at_once_(max_at_once),
      refused_(registry.counter("sluice_registry_searches_refused_total",
                                "Lists and searches refused since too many were at work.")) {}

Result<Page> Searches::list(const Caller& caller, ResourceKind kind, const ListRequest& request) {
  const Place place(at_once_);
  if (place.number() > max_at_once_) {
    refused_.add();
    return fail(Error(ErrorCode::kResourceExhausted, "too many lists and searches at once")
                    .with_reason("too_many_searches"));
  }
  return list_(caller, kind, request);
}

}  // namespace sluice::registry
