#include "testing/store_contract.h"

#include "core/credential.h"

#include <algorithm>
#include <format>
#include <ranges>
#include <string_view>

#include <sluice/base/encoding.h>
#include <sluice/device/v1/device_change.pb.h>

namespace sluice::registry::testing {

TEST_P(StoreContract, KeepsADeviceAsItWasAskedFor) {
  const Json metadata{{"site", "north"}, {"floor", 3}, {"tags", {"a", "b"}}};
  create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}});
  const Resource device = create(blue, ResourceKind::kDevice,
                                 new_device({{"external_id", "serial-1"},
                                             {"fleet_id", "trucks"},
                                             {"schema_id", "s1"},
                                             {"model", "M"},
                                             {"firmware_version", "1.2"},
                                             {"metadata", metadata}}));
  const auto found = catalog.get(blue, ResourceKind::kDevice, device.id);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->fields, device.fields);
  EXPECT_EQ(found->revision, device.revision);
  EXPECT_EQ(found->fields["metadata"], metadata);
  EXPECT_EQ(found->fields["status"], "active");
  EXPECT_EQ(found->fields["device_id"], device.id);
  EXPECT_TRUE(parse_rfc3339(text_at(found->fields, "registered_at")));
}

TEST_P(StoreContract, RefusesATakenExternalIdInTheSameTenantOnly) {
  create(blue, ResourceKind::kDevice, new_device({{"external_id", "serial-1"}}));
  const auto again =
      catalog.create(blue, ResourceKind::kDevice, new_device({{"external_id", "serial-1"}}), {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::kAlreadyExists);
  ASSERT_EQ(again.error().faults().size(), 1U);
  EXPECT_EQ(again.error().faults()[0].field, "/external_id");
  create(red, ResourceKind::kDevice, new_device({{"external_id", "serial-1"}}));
}

TEST_P(StoreContract, RefusesAnExternalIdThatIsAnotherDevicesIdInTheSameTenantOnly) {
  const Resource device = create(blue, ResourceKind::kDevice, new_device());
  std::string shouted = device.id;
  std::ranges::transform(shouted, shouted.begin(), [](char c) {
    return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  for (const std::string& id : {device.id, shouted}) {
    const auto taken =
        catalog.create(blue, ResourceKind::kDevice, new_device({{"external_id", id}}), {});
    ASSERT_FALSE(taken) << id;
    EXPECT_EQ(taken.error().code(), ErrorCode::kAlreadyExists);
    ASSERT_EQ(taken.error().faults().size(), 1U);
    EXPECT_EQ(taken.error().faults()[0].field, "/external_id");
  }
  const Resource other = create(blue, ResourceKind::kDevice, new_device());
  const auto patched =
      catalog.update(blue, ResourceKind::kDevice, other.id, {{"external_id", device.id}}, {});
  ASSERT_FALSE(patched);
  EXPECT_EQ(patched.error().code(), ErrorCode::kAlreadyExists);
  // Its own id names no other device, and another tenant's devices are nobody's business here.
  EXPECT_TRUE(
      catalog.update(blue, ResourceKind::kDevice, other.id, {{"external_id", other.id}}, {}));
  create(red, ResourceKind::kDevice, new_device({{"external_id", device.id}}));
}

TEST_P(StoreContract, RefusesAnIdThatIsAnotherDevicesExternalId) {
  const std::string id = "0190a000-0000-7000-8000-000000000001";
  create(blue, ResourceKind::kDevice, new_device({{"external_id", id}}));
  const auto made =
      store.run(Scope::of(blue.tenant), {}, [&](Transaction& transaction) -> Result<> {
        SLUICE_TRY(transaction.insert({.kind = ResourceKind::kDevice,
                                       .tenant = blue.tenant,
                                       .id = id,
                                       .fields = {{"device_id", id},
                                                  {"device_class", "meter"},
                                                  {"status", "active"},
                                                  {"metadata", Json::object()}}}));
        return {};
      });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(made.error().faults().at(0).field, "/device_id");
}

TEST_P(StoreContract, AnImportNamesTheLineWhoseExternalIdIsADevicesId) {
  const Resource device = create(blue, ResourceKind::kDevice, new_device());
  const auto ended =
      import(blue, std::format("{{\"external_id\":\"a\",\"device_class\":\"meter\"}}\n"
                               "{{\"external_id\":\"{}\",\"device_class\":\"meter\"}}\n",
                               device.id));
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_EQ(ended->state, Operation::State::kFailed);
  ASSERT_EQ(ended->fields["faults"].size(), 1U) << ended->fields;
  EXPECT_EQ(ended->fields["faults"][0]["line"], 2);
  EXPECT_EQ(ended->fields["faults"][0]["pointer"], "/external_id");
  EXPECT_EQ(device_count(blue), 1U);
}

TEST_P(StoreContract, NamesTheFieldThatRefersToNothing) {
  const auto device =
      catalog.create(blue, ResourceKind::kDevice, new_device({{"fleet_id", "none"}}), {});
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().reason(), "unknown_reference");
  EXPECT_EQ(device.error().faults().at(0).field, "/fleet_id");
  // A class of another tenant is as unknown as one that does not exist.
  create(red, ResourceKind::kTopicPolicy, {{"topic_policy_id", "p"}, {"rules", Json::array()}});
  const auto device_class = catalog.create(
      blue, ResourceKind::kDeviceClass, {{"device_class_id", "c"}, {"topic_policy_id", "p"}}, {});
  ASSERT_FALSE(device_class);
  EXPECT_EQ(device_class.error().faults().at(0).field, "/topic_policy_id");
}

TEST_P(StoreContract, KeepsWhatOthersReferTo) {
  create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}});
  create(blue, ResourceKind::kTopicPolicy, {{"topic_policy_id", "p"}, {"rules", Json::array()}});
  create(blue, ResourceKind::kDeviceClass,
         {{"device_class_id", "meter"}, {"topic_policy_id", "p"}});
  const Resource device = create(blue, ResourceKind::kDevice, new_device({{"fleet_id", "trucks"}}));
  for (const auto& [kind, id] :
       {std::pair(ResourceKind::kFleet, "trucks"), std::pair(ResourceKind::kTopicPolicy, "p"),
        std::pair(ResourceKind::kDeviceClass, "meter")}) {
    const auto removed = catalog.remove(blue, kind, id, {});
    ASSERT_FALSE(removed) << id;
    EXPECT_EQ(removed.error().reason(), "in_use") << id;
  }
  EXPECT_TRUE(catalog.remove(blue, ResourceKind::kDevice, device.id, {}));
  EXPECT_TRUE(catalog.remove(blue, ResourceKind::kFleet, "trucks", {}));
}

TEST_P(StoreContract, GivesEveryChangeAHigherRevision) {
  const Resource fleet = create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}});
  const auto updated =
      catalog.update(blue, ResourceKind::kFleet, "trucks", {{"name", "Trucks"}}, {});
  ASSERT_TRUE(updated) << updated.error().message();
  EXPECT_GT(updated->resource.revision, fleet.revision);
  EXPECT_TRUE(catalog.remove(blue, ResourceKind::kFleet, "trucks", {}));
  EXPECT_GT(create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}}).revision,
            updated->resource.revision);
}

TEST_P(StoreContract, RefusesAnUpdateOfAnotherRevision) {
  const Resource fleet = create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}});
  WriteOptions options;
  options.preconditions =
      http::Preconditions::parse(http::etag_of(fleet.revision), std::nullopt).value();
  EXPECT_TRUE(catalog.update(blue, ResourceKind::kFleet, "trucks", {{"name", "One"}}, options));
  const auto late =
      catalog.update(blue, ResourceKind::kFleet, "trucks", {{"name", "Two"}}, options);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "precondition_failed");
  EXPECT_EQ(catalog.get(blue, ResourceKind::kFleet, "trucks")->fields["name"], "One");
}

TEST_P(StoreContract, FindsDevicesByFieldsAndAttributes) {
  create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}});
  create(blue, ResourceKind::kDevice,
         new_device({{"external_id", "a"},
                     {"fleet_id", "trucks"},
                     {"model", "M1"},
                     {"metadata", {{"site", "north"}, {"floor", 3}, {"tags", {"x", "y"}}}}}));
  create(blue, ResourceKind::kDevice,
         new_device(
             {{"external_id", "b"},
              {"model", "M2"},
              {"status", "inactive"},
              {"metadata", {{"site", "north"}, {"place", {{"room", "r 1"}}}, {"is_new", true}}}}));
  create(blue, ResourceKind::kDevice,
         new_device({{"external_id", "c"}, {"metadata", {{"site", "south"}, {"floor", 3.0}}}}));
  create(red, ResourceKind::kDevice,
         new_device({{"external_id", "d"}, {"metadata", {{"site", "north"}}}}));

  using Ids = std::vector<std::string>;
  EXPECT_EQ(search(""), (Ids{"a", "b", "c"}));
  EXPECT_EQ(search("external_id = \"b\""), Ids{"b"});
  EXPECT_EQ(search("fleet_id = \"trucks\""), Ids{"a"});
  EXPECT_EQ(search("fleet_id = null"), (Ids{"b", "c"}));
  EXPECT_EQ(search("model != \"M1\""), (Ids{"b", "c"}));
  EXPECT_EQ(search("status = \"inactive\" AND model = \"M2\""), Ids{"b"});
  EXPECT_EQ(search("device_class = \"meter\" AND registered_at > \"2020-01-01T00:00:00Z\""),
            (Ids{"a", "b", "c"}));
  EXPECT_EQ(search("last_seen_at = null"), (Ids{"a", "b", "c"}));
  EXPECT_EQ(search("metadata.site = \"north\""), (Ids{"a", "b"}));
  EXPECT_EQ(search("metadata.floor = 3"), (Ids{"a", "c"}));
  EXPECT_EQ(search("metadata.site = \"north\" AND metadata.floor = 3"), Ids{"a"});
  EXPECT_EQ(search("metadata.tags = \"y\""), Ids{"a"});
  EXPECT_EQ(search("metadata.place.room = \"r 1\""), Ids{"b"});
  EXPECT_EQ(search("metadata.is_new = true"), Ids{"b"});
  EXPECT_EQ(search("metadata.site != \"north\""), Ids{"c"});
  EXPECT_EQ(search("metadata.site = \"nor\""), Ids{});
}

TEST_P(StoreContract, FindsADeviceByItsAttributesOfNowOnly) {
  const Resource device =
      create(blue, ResourceKind::kDevice,
             new_device({{"external_id", "a"}, {"metadata", {{"site", "north"}}}}));
  ASSERT_TRUE(catalog.update(blue, ResourceKind::kDevice, device.id,
                             {{"metadata", {{"site", "south"}}}}, {}));
  EXPECT_EQ(search("metadata.site = \"north\""), std::vector<std::string>{});
  EXPECT_EQ(search("metadata.site = \"south\""), std::vector<std::string>{"a"});
}

TEST_P(StoreContract, PagesThroughEverythingOnce) {
  for (int i = 0; i < 7; ++i) {
    create(blue, ResourceKind::kDevice,
           new_device({{"external_id", std::format("d{}", i)}, {"metadata", {{"site", "n"}}}}));
  }
  for (const char* order : {"", "device_id desc", "registered_at", "registered_at desc"}) {
    ListRequest request{.filter = "metadata.site = \"n\"", .order_by = order, .page_size = 3};
    std::vector<std::string> seen;
    std::vector<std::size_t> sizes;
    do {
      const auto page = catalog.list(blue, ResourceKind::kDevice, request);
      ASSERT_TRUE(page) << page.error().message();
      std::ranges::copy(ids_of(*page), std::back_inserter(seen));
      sizes.push_back(page->items.size());
      request.page_token = page->next_page_token;
    } while (!request.page_token.empty());
    EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 3, 1})) << order;
    std::ranges::sort(seen);
    EXPECT_EQ(seen, (std::vector<std::string>{"d0", "d1", "d2", "d3", "d4", "d5", "d6"})) << order;
  }
}

TEST_P(StoreContract, ShowsAnotherTenantsThingsAsIfTheyDidNotExist) {
  create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}});
  create(blue, ResourceKind::kTopicPolicy, {{"topic_policy_id", "p"}, {"rules", Json::array()}});
  const Resource device = create(blue, ResourceKind::kDevice, new_device());
  const auto credential = catalog.add_credential(blue, device.id, {{"kind", "psk"}}, {});
  ASSERT_TRUE(credential);
  const auto key =
      catalog.create(blue, ResourceKind::kApiKey, {{"name", "ci"}, {"role", "viewer"}}, {});
  ASSERT_TRUE(key);

  const auto is_not_found = [](const auto& result) {
    return !result.has_value() && result.error().code() == ErrorCode::kNotFound;
  };
  const std::vector<std::pair<ResourceKind, std::string>> things{
      {ResourceKind::kFleet, "trucks"},
      {ResourceKind::kTopicPolicy, "p"},
      {ResourceKind::kDeviceClass, "meter"},
      {ResourceKind::kDevice, device.id}};
  for (const auto& [kind, id] : things) {
    EXPECT_TRUE(catalog.get(blue, kind, id)) << id;
    EXPECT_TRUE(is_not_found(catalog.get(red, kind, id))) << id;
    EXPECT_TRUE(is_not_found(catalog.update(red, kind, id, {{"name", "x"}}, {})) ||
                kind == ResourceKind::kDevice)
        << id;
    EXPECT_TRUE(is_not_found(catalog.remove(red, kind, id, {}))) << id;
    EXPECT_TRUE(catalog.list(red, kind, {})->items.empty()) << id;
  }
  EXPECT_TRUE(
      is_not_found(catalog.update(red, ResourceKind::kDevice, device.id, {{"model", "x"}}, {})));
  EXPECT_TRUE(
      is_not_found(catalog.set_device_status(red, device.id, DeviceStatus::kRevoked, "", {})));
  EXPECT_TRUE(is_not_found(catalog.add_credential(red, device.id, {{"kind", "psk"}}, {})));
  EXPECT_TRUE(is_not_found(catalog.get_credential(red, device.id, credential->resource.id)));
  EXPECT_TRUE(is_not_found(catalog.revoke_credential(red, device.id, credential->resource.id, {})));
  EXPECT_TRUE(is_not_found(catalog.list(red, ResourceKind::kCredential, {.device_id = device.id})));
  EXPECT_TRUE(is_not_found(catalog.get(red, ResourceKind::kApiKey, key->resource.id)));
  EXPECT_TRUE(is_not_found(catalog.revoke_api_key(red, key->resource.id, {})));
  const auto begun = importer.begin(blue, {});
  ASSERT_TRUE(begun);
  EXPECT_TRUE(operations.get(blue, begun->operation.id));
  EXPECT_TRUE(is_not_found(operations.get(red, begun->operation.id)));
  EXPECT_TRUE(is_not_found(operations.take_result(red, begun->operation.id)));
  device::v1::LookupRequest lookup;
  lookup.set_tenant("red");
  lookup.set_device(device.id);
  EXPECT_EQ(door.lookup(lookup, {})->refusal().reason(),
            device::v1::REFUSAL_REASON_UNKNOWN_CREDENTIAL);
}

TEST_P(StoreContract, DoesNothingInADryRun) {
  const std::size_t before = under_test->outbox().size();
  const auto written =
      catalog.create(blue, ResourceKind::kDevice, new_device(), {.is_dry_run = true});
  ASSERT_TRUE(written) << written.error().message();
  EXPECT_TRUE(written->shown_once.empty());
  EXPECT_EQ(device_count(blue), 0U);
  EXPECT_EQ(under_test->outbox().size(), before);
}

TEST_P(StoreContract, PublishesWhatIsCommittedAndNothingElse) {
  const std::size_t before = under_test->outbox().size();
  const Resource device = create(blue, ResourceKind::kDevice, new_device({{"external_id", "a"}}));
  EXPECT_FALSE(catalog.create(blue, ResourceKind::kDevice, new_device({{"external_id", "a"}}), {}));
  EXPECT_TRUE(catalog.remove(blue, ResourceKind::kDevice, device.id, {}));
  std::vector<std::pair<std::string, bool>> published;
  for (const OutboxRecord& record : under_test->outbox())
    published.emplace_back(record.topic + " " + record.key, record.value.has_value());
  published.erase(published.begin(), published.begin() + static_cast<std::ptrdiff_t>(before));
  const std::string key = "control.devices blue/" + device.id;
  EXPECT_EQ(published,
            (std::vector<std::pair<std::string, bool>>{{"control.devices blue/$class/meter", true},
                                                       {key, true},
                                                       {"audit blue", true},
                                                       {key, false},
                                                       {"audit blue", true}}));
}

TEST_P(StoreContract, TellsWhichCredentialsAreValid) {
  const Resource device = create(blue, ResourceKind::kDevice, new_device({{"issue_token", false}}));
  const auto first = catalog.add_credential(blue, device.id, {{"kind", "token"}}, {});
  const auto second = catalog.add_credential(blue, device.id, {{"kind", "psk"}}, {});
  ASSERT_TRUE(catalog.add_credential(
      blue, device.id, {{"kind", "token"}, {"expires_at", "2020-01-01T00:00:00Z"}}, {}));
  ASSERT_TRUE(catalog.revoke_credential(blue, device.id, first->resource.id, {}));
  device::v1::DeviceChange change;
  const auto outbox = under_test->outbox();
  const auto last = std::ranges::find_last_if(
      outbox, [](const OutboxRecord& r) { return r.topic == "control.devices"; });
  ASSERT_FALSE(last.empty());
  ASSERT_TRUE(change.ParseFromString(last.front().value.value()));
  ASSERT_EQ(change.device().active_credential_ids_size(), 1);
  EXPECT_EQ(change.device().active_credential_ids(0), second->resource.id);
  EXPECT_EQ(change.revision(), catalog.get(blue, ResourceKind::kDevice, device.id)->revision);
}

TEST_P(StoreContract, LetsADeviceInByItsToken) {
  const auto written = catalog.create(blue, ResourceKind::kDevice, new_device(), {});
  ASSERT_TRUE(written);
  device::v1::AuthenticateRequest request;
  request.set_token(text_at(written->shown_once, "auth_token"));
  const auto answer = door.authenticate(request, {});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->identity().device(), written->resource.id);
  EXPECT_EQ(answer->identity().tenant(), "blue");
  EXPECT_GT(answer->identity().rules_size(), 0);

  ASSERT_TRUE(
      catalog.set_device_status(blue, written->resource.id, DeviceStatus::kQuarantined, "odd", {}));
  EXPECT_EQ(door.authenticate(request, {})->refusal().reason(),
            device::v1::REFUSAL_REASON_DEVICE_QUARANTINED);
}

TEST_P(StoreContract, ReadsNoMetadataForTheDoor) {
  const Json metadata{{"site", "north"}};
  create(blue, ResourceKind::kTopicPolicy,
         {{"topic_policy_id", "p"}, {"rules", Json::array()}, {"metadata", metadata}});
  create(blue, ResourceKind::kDeviceClass,
         {{"device_class_id", "meter"}, {"topic_policy_id", "p"}, {"metadata", metadata}});
  const auto made =
      catalog.create(blue, ResourceKind::kDevice, new_device({{"metadata", metadata}}), {});
  ASSERT_TRUE(made) << made.error().message();
  const auto expect_bare = [](const DeviceRecord& record) {
    EXPECT_EQ(text_at(record.device.fields, "device_class"), "meter");
    EXPECT_FALSE(record.device.fields.contains("metadata"));
    EXPECT_FALSE(record.device_class.value().fields.contains("metadata"));
    EXPECT_FALSE(record.topic_policy.value().fields.contains("metadata"));
  };
  const CredentialSearch search{
      .lookup_keys = {token_lookup_key(text_at(made->shown_once, "auth_token").substr(4, 12))}};
  const auto read = store.run(
      Scope::all_tenants(), {.mode = Mode::kRead}, [&](Transaction& transaction) -> Result<> {
        SLUICE_TRY_ASSIGN(const auto found, transaction.find_credentials({&search, 1}));
        EXPECT_EQ(found.front().size(), 1U);
        for (const CredentialRecord& record : found.front()) expect_bare(record.device);
        return {};
      });
  EXPECT_TRUE(read);
  const auto looked_up = store.run(
      Scope::of(blue.tenant), {.mode = Mode::kRead}, [&](Transaction& transaction) -> Result<> {
        SLUICE_TRY_ASSIGN(const DeviceRecord record, transaction.device_record(made->resource.id));
        expect_bare(record);
        return {};
      });
  EXPECT_TRUE(looked_up);
}

TEST_P(StoreContract, FindsForEachOfManyQuestionsItsOwnDevice) {
  const auto written = [&](const Caller& caller, const Json& more = Json::object()) {
    auto made = catalog.create(caller, ResourceKind::kDevice, new_device(more), {});
    EXPECT_TRUE(made) << made.error().message();
    return *std::move(made);
  };
  device::v1::AuthenticateManyRequest request;
  std::vector<std::string> expected;  // a device's id, or why it is refused
  const auto ask = [&](std::string answer) {
    expected.push_back(std::move(answer));
    return request.add_questions();
  };
  const auto reason = [](device::v1::RefusalReason of) {
    return device::v1::RefusalReason_Name(of);
  };
  std::vector<Written> devices;
  for (int i = 0; i < 6; ++i) devices.push_back(written(i % 2 == 0 ? blue : red));
  // Last to first, so that no order of rows is that of the questions by chance.
  for (const Written& device : std::views::reverse(devices)) {
    ask(device.resource.id)->set_token(text_at(device.shown_once, "auth_token"));
  }
  ask(devices[1].resource.id)->set_token(text_at(devices[1].shown_once, "auth_token"));
  ask(reason(device::v1::REFUSAL_REASON_UNKNOWN_CREDENTIAL))
      ->set_token("sld_" + std::string(12, 'x') + "_" + std::string(43, 's'));
  ask(reason(device::v1::REFUSAL_REASON_UNKNOWN_CREDENTIAL))->set_token("nonsense");

  const Json certificate{{"kind", "certificate"}, {"common_name", "unit-7"}};
  ASSERT_TRUE(catalog.add_credential(blue, devices[0].resource.id, certificate, {}));
  ASSERT_TRUE(catalog.add_credential(red, devices[1].resource.id, certificate, {}));
  const auto certified = [](device::v1::AuthenticateRequest* question, std::string tenant) {
    question->mutable_certificate()->set_common_name("unit-7");
    question->mutable_certificate()->set_fingerprint_sha256(std::string(32, 'f'));
    question->mutable_certificate()->set_tenant_hint(std::move(tenant));
  };
  certified(ask(devices[1].resource.id), "red");
  certified(ask(reason(device::v1::REFUSAL_REASON_AMBIGUOUS_TENANT)), "");
  certified(ask(devices[0].resource.id), "blue");

  const Written gone = written(blue);
  ASSERT_TRUE(
      catalog.set_device_status(blue, gone.resource.id, DeviceStatus::kQuarantined, "odd", {}));
  ask(reason(device::v1::REFUSAL_REASON_DEVICE_QUARANTINED))
      ->set_token(text_at(gone.shown_once, "auth_token"));
  const Written named = written(blue, {{"external_id", "serial-1"}});
  for (const char* claimed : {"serial-1", "serial-2"}) {
    const bool is_own = std::string_view(claimed) == "serial-1";
    auto* question =
        ask(is_own ? named.resource.id : reason(device::v1::REFUSAL_REASON_WRONG_DEVICE));
    question->set_token(text_at(named.shown_once, "auth_token"));
    question->set_claimed_device(claimed);
  }

  const auto answers = door.authenticate_many(request, {});
  ASSERT_TRUE(answers) << answers.error().message();
  ASSERT_EQ(answers->answers_size(), request.questions_size());
  for (int i = 0; i < answers->answers_size(); ++i) {
    const device::v1::AuthenticateResponse& answer = answers->answers(i).response();
    EXPECT_EQ(answer.has_refusal() ? reason(answer.refusal().reason()) : answer.identity().device(),
              expected[static_cast<std::size_t>(i)])
        << i;
    // Together or alone, it is the same.
    const auto alone = door.authenticate(request.questions(i), {});
    ASSERT_TRUE(alone);
    EXPECT_EQ(alone->SerializeAsString(), answer.SerializeAsString()) << i;
  }
}

TEST_P(StoreContract, ImportsAllDevicesOfAnUpload) {
  create(blue, ResourceKind::kFleet, {{"fleet_id", "trucks"}});
  std::string lines;
  for (int i = 0; i < 10; ++i) {
    lines += std::format(
        "{{\"external_id\":\"e{}\",\"device_class\":\"meter\",\"fleet_id\":\"trucks\","
        "\"metadata\":{{\"n\":{}}}}}\n",
        i, i % 2);
  }
  const auto operation = import(blue, lines, {.issue_tokens = true});
  ASSERT_TRUE(operation) << operation.error().message();
  EXPECT_EQ(operation->state, Operation::State::kSucceeded) << operation->fields.dump();
  EXPECT_EQ(operation->fields["devices_written"], 10);
  EXPECT_EQ(device_count(blue), 10U);
  EXPECT_EQ(search("metadata.n = 1").size(), 5U);

  const auto tokens = operations.take_result(blue, operation->id);
  ASSERT_TRUE(tokens) << tokens.error().message();
  EXPECT_EQ(std::ranges::count(*tokens, '\n'), 10);
  const Json first = Json::parse(tokens->substr(0, tokens->find('\n')));
  device::v1::AuthenticateRequest request;
  request.set_token(text_at(first, "auth_token"));
  EXPECT_EQ(door.authenticate(request, {})->identity().device(), text_at(first, "device_id"));
  EXPECT_EQ(operations.take_result(blue, operation->id).value_or(""), *tokens);
  EXPECT_EQ(operation->fields["has_result"], true);
}

TEST_P(StoreContract, NamesTheLineWhoseTokenAnotherTenantHas) {
  const auto line = [](int n) {
    return std::format(
        "{{\"external_id\":\"e{}\",\"device_class\":\"m\",\"auth_token\":\"sld_{:012}_{}\"}}\n", n,
        n, std::string(43, 's'));
  };
  ASSERT_EQ(import(red, line(2))->state, Operation::State::kSucceeded);
  const auto operation = import(blue, line(1) + line(2) + line(3));
  ASSERT_TRUE(operation) << operation.error().message();
  EXPECT_EQ(operation->fields["reason"], "faulty_lines") << operation->fields.dump();
  ASSERT_EQ(operation->fields["faults"].size(), 1U);
  EXPECT_EQ(operation->fields["faults"][0]["line"], 2);
  EXPECT_EQ(operation->fields["faults"][0]["pointer"], "/auth_token");
  EXPECT_EQ(device_count(blue), 0U);
}

TEST_P(StoreContract, RemovesATenantWithItsRevokedKeys) {
  const Caller platform = admin_of("platform");
  const auto key =
      catalog.create(red, ResourceKind::kApiKey, {{"name", "n"}, {"role", "admin"}}, {});
  ASSERT_TRUE(key);
  const auto used = catalog.remove(platform, ResourceKind::kTenant, "red", {});
  ASSERT_FALSE(used);
  EXPECT_EQ(used.error().reason(), "in_use");
  ASSERT_TRUE(catalog.revoke_api_key(red, key->resource.id, {}));
  const auto removed = catalog.remove(platform, ResourceKind::kTenant, "red", {});
  EXPECT_TRUE(removed) << removed.error().message();
}

TEST_P(StoreContract, NobodyHidesADeviceByRegisteringItsCertificate) {
  const Json certificate{{"kind", "certificate"}, {"common_name", "unit-7"}};
  const Resource mine = create(blue, ResourceKind::kDevice, new_device());
  for (int i = 0; i < 5; ++i) {
    const Resource other = create(red, ResourceKind::kDevice, new_device());
    for (int n = 0; n < 40; ++n) {
      const auto added = catalog.add_credential(red, other.id, certificate, {});
      ASSERT_TRUE(added) << added.error().message();
      if (i == 0) continue;
      ASSERT_TRUE(catalog.revoke_credential(red, other.id, added->resource.id, {}));
    }
  }
  ASSERT_TRUE(catalog.add_credential(blue, mine.id, certificate, {}));
  device::v1::AuthenticateRequest request;
  request.mutable_certificate()->set_common_name("unit-7");
  request.mutable_certificate()->set_fingerprint_sha256(std::string(32, 'f'));
  EXPECT_EQ(door.authenticate(request, {})->refusal().reason(),
            device::v1::REFUSAL_REASON_AMBIGUOUS_TENANT);
  request.mutable_certificate()->set_tenant_hint("blue");
  EXPECT_EQ(door.authenticate(request, {})->identity().device(), mine.id);
  request.mutable_certificate()->clear_tenant_hint();
  request.set_claimed_device(mine.id);
  EXPECT_EQ(door.authenticate(request, {})->identity().device(), mine.id);
  // The fingerprint tells it from all of them.
  request.clear_claimed_device();
  ASSERT_TRUE(catalog.add_credential(
      blue, mine.id,
      {{"kind", "certificate"}, {"fingerprint_sha256", to_hex(std::string(32, 'f'))}}, {}));
  EXPECT_EQ(door.authenticate(request, {})->identity().device(), mine.id);
}

TEST_P(StoreContract, ImportingTwiceEndsInTheSameState) {
  const std::string lines =
      "{\"external_id\":\"e1\",\"device_class\":\"meter\"}\n{\"external_id\":\"e2\",\"device_"
      "class\":\"meter\"}\n";
  ASSERT_TRUE(import(blue, lines));
  const auto before = catalog.list(blue, ResourceKind::kDevice, {});
  const auto again = import(blue, lines);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state, Operation::State::kSucceeded);
  EXPECT_EQ(again->fields["devices_written"], 0);
  EXPECT_EQ(again->fields["devices_skipped"], 2);
  const auto after = catalog.list(blue, ResourceKind::kDevice, {});
  ASSERT_EQ(after->items.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(after->items[i].fields, before->items[i].fields);
}

TEST_P(StoreContract, ImportsNothingWhereOneLineIsFaulty) {
  std::string lines;
  for (int i = 0; i < 8; ++i)
    lines += std::format("{{\"external_id\":\"e{}\",\"device_class\":\"meter\"}}\n", i);
  lines += "{\"external_id\":\"e9\"}\n";
  const std::size_t before = under_test->outbox().size();
  const auto operation = import(blue, lines);
  ASSERT_TRUE(operation) << operation.error().message();
  EXPECT_EQ(operation->state, Operation::State::kFailed);
  EXPECT_EQ(operation->fields["reason"], "faulty_lines");
  EXPECT_EQ(operation->fields["faults"][0]["line"], 9);
  EXPECT_EQ(operation->fields["faults"][0]["pointer"], "/device_class");
  EXPECT_EQ(operation->fields["devices_written"], 0);
  EXPECT_EQ(device_count(blue), 0U);
  // The class was made beforehand.
  EXPECT_EQ(under_test->outbox().size(), before + 1);
  EXPECT_EQ(under_test->outbox().back().key, "blue/$class/meter");
}

TEST_P(StoreContract, GivesTheOperationOfAKeyAgain) {
  const ImportRequest request{.idempotency_key = "k", .request_hash = "h"};
  const auto first = importer.begin(blue, request);
  const auto second = importer.begin(blue, request);
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_TRUE(first->is_new);
  EXPECT_FALSE(second->is_new);
  EXPECT_EQ(first->operation.id, second->operation.id);
  EXPECT_TRUE(importer.begin(red, request)->is_new);
  const auto other = importer.begin(blue, {.idempotency_key = "k", .request_hash = "other"});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason(), "idempotency_key_reused");
}

}  // namespace sluice::registry::testing
