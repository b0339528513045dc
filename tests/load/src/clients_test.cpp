#include "clients.h"

#include <gtest/gtest.h>

namespace sluice::load {

namespace {

std::string made(std::string_view text, std::uint32_t index, std::string_view client_id = "dev") {
  return TextTemplate::parse(text, true).value().make(index, client_id);
}

TEST(TextTemplate, PutsIndexAndClientIdInTheirPlaces) {
  EXPECT_EQ(made("plain", 7), "plain");
  EXPECT_EQ(made("%d", 7), "7");
  EXPECT_EQ(made("tenant/t%d/device/%c/telemetry", 12, "meter-12"),
            "tenant/t12/device/meter-12/telemetry");
  EXPECT_EQ(made("%06d-%d", 42), "000042-42");
  EXPECT_EQ(made("100%%", 1), "100%");
  EXPECT_EQ(made("", 1), "");
}

TEST(TextTemplate, RefusesWhatItDoesNotKnow) {
  EXPECT_FALSE(TextTemplate::parse("%x", true));
  EXPECT_FALSE(TextTemplate::parse("50%", true));
  EXPECT_FALSE(TextTemplate::parse("%12", true));
  EXPECT_FALSE(TextTemplate::parse("%c", false));
}

TEST(Clients, AreMadeFromTemplates) {
  const auto clients =
      Clients::make({.client_id = "meter-%03d", .user = "u%d", .password = "secret of %c"});
  ASSERT_TRUE(clients);
  EXPECT_EQ(clients->identity(9), (swarm::Identity{"meter-009", "u9", "secret of meter-009"}));
  EXPECT_FALSE(clients->limit());
}

TEST(Clients, HaveNoUserUnlessOneIsGiven) {
  const auto clients = Clients::make({});
  ASSERT_TRUE(clients);
  EXPECT_EQ(clients->identity(3), swarm::Identity{"load-3"});
}

TEST(Clients, AreReadFromAList) {
  const auto clients = Clients::make({.listed = "# fleet\r\na,user a,p,w\r\n\nb\nc,,\nd,user d"});
  ASSERT_TRUE(clients);
  EXPECT_EQ(clients->limit(), 4U);
  EXPECT_EQ(clients->identity(0), (swarm::Identity{"a", "user a", "p,w"}));
  EXPECT_EQ(clients->identity(1), swarm::Identity{"b"});
  EXPECT_EQ(clients->identity(2), (swarm::Identity{"c", "", ""}));
  EXPECT_EQ(clients->identity(3), (swarm::Identity{"d", "user d"}));
}

TEST(Clients, RefuseAListWithoutClientIds) {
  EXPECT_FALSE(Clients::make({.listed = ",user,password"}));
  EXPECT_FALSE(Clients::make({.listed = "# nothing\n"}));
}

}  // namespace

}  // namespace sluice::load
