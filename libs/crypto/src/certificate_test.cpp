#include <sluice/crypto/certificate.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/testing/temp_dir.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::crypto {
namespace {

using sluice::testing::TempDir;
using testing::TestCa;
using testing::TestCertificate;

const TestCa& authority() {
  static const TestCa ca;
  return ca;
}

bool is_refused(const std::string& pem) { return !read_certificates_pem(pem); }

TEST(Certificate, IsRead) {
  const auto pem = authority().issue(TestCa::Request{.common_name = "device-1",
                                                     .organization = "acme",
                                                     .dns_names = {"a.example", "b.example"},
                                                     .ip_addresses = {"127.0.0.1"},
                                                     .uri_names = {"urn:sluice:acme"}});
  const auto chain = read_certificates_pem(pem.cert_pem + authority().cert_pem());
  ASSERT_TRUE(chain) << chain.error().message();
  ASSERT_EQ(chain->size(), 2U);
  const Certificate& own = chain->front();
  EXPECT_EQ(own.common_name, "device-1");
  EXPECT_EQ(own.organization, "acme");
  EXPECT_EQ(own.issuer_common_name, "Sluice Test CA");
  EXPECT_THAT(own.dns_names, ::testing::ElementsAre("a.example", "b.example"));
  EXPECT_THAT(own.uri_names, ::testing::ElementsAre("urn:sluice:acme"));
  EXPECT_EQ(own.fingerprint_hex.size(), 64U);
  EXPECT_EQ(own.serial_hex.size(), 16U);
  EXPECT_FALSE(own.is_authority);
  EXPECT_TRUE(chain->back().is_authority);
  EXPECT_NE(own.fingerprint_hex, chain->back().fingerprint_hex);
}

TEST(Certificate, IsValidFromTheFirstMomentToBeforeTheLast) {
  Certificate certificate;
  certificate.not_before = WallTime(std::chrono::seconds(10));
  certificate.not_after = WallTime(std::chrono::seconds(20));
  EXPECT_FALSE(certificate.is_valid_at(WallTime(std::chrono::milliseconds(9'999))));
  EXPECT_TRUE(certificate.is_valid_at(WallTime(std::chrono::seconds(10))));
  EXPECT_TRUE(certificate.is_valid_at(WallTime(std::chrono::milliseconds(19'999))));
  EXPECT_FALSE(certificate.is_valid_at(WallTime(std::chrono::seconds(20))));
}

TEST(Certificate, RefusesNamesThatReadDifferentlyToDifferentPrograms) {
  using namespace std::string_literals;
  EXPECT_TRUE(
      is_refused(authority().issue(TestCa::Request{.common_name = "device\0.evil"s}).cert_pem));
  EXPECT_TRUE(is_refused(authority().issue(TestCa::Request{.common_name = "device\n"}).cert_pem));
  EXPECT_TRUE(
      is_refused(authority()
                     .issue(TestCa::Request{.common_name = "d", .dns_names = {"registry\0.evil"s}})
                     .cert_pem));
  EXPECT_TRUE(is_refused(
      authority().issue(TestCa::Request{.common_name = "d", .uri_names = {"urn:\x7F"}}).cert_pem));
}

TEST(Certificate, RefusesPemThatCannotBeRead) {
  const std::string good = authority().issue("a").cert_pem;
  std::string damaged = good;
  damaged[damaged.size() / 2] = '*';
  const std::string cut = good.substr(0, good.size() / 2);
  for (const std::string& pem :
       {std::string(), std::string("x"), damaged, cut, good + damaged, good + cut,
        std::string("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        authority().issue("a").key_pem, std::string(2'000'000, 'x')}) {
    EXPECT_TRUE(is_refused(pem));
  }
}

TEST(Certificate, RefusesMoreThanAChainMayHave) {
  std::string many;
  for (int i = 0; i < 64; ++i) many += authority().cert_pem();
  EXPECT_FALSE(is_refused(many));
  EXPECT_TRUE(is_refused(many + authority().cert_pem()));
}

TEST(Certificate, RefusesDerThatCannotBeRead) {
  for (const std::string& der :
       {std::string(), std::string("x"), std::string("\x30\x80"),
        std::string("\x30\x84\xFF\xFF\xFF\xFF"), std::string(2'000'000, '0')}) {
    EXPECT_FALSE(read_certificate_der(der));
  }
}

TEST(Certificate, KnowsItsKey) {
  const auto one = authority().issue("one");
  const auto two = authority().issue("two");
  EXPECT_TRUE(*key_belongs_to(one.cert_pem, one.key_pem));
  EXPECT_FALSE(*key_belongs_to(one.cert_pem, two.key_pem));
  EXPECT_FALSE(key_belongs_to("x", one.key_pem));
  EXPECT_FALSE(key_belongs_to(one.cert_pem, "x"));
}

class TlsFilesTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.path().string(); }
  TlsIdentity write(const std::string& name) { return authority().write_identity(path(), name); }
  TlsIdentity write(const TestCertificate& certificate) {
    return authority().write_identity(path(), certificate);
  }

  /// The setting at fault; empty when there is none.
  std::string fault(const TlsIdentity& identity) const {
    const auto material = read_tls_material(identity, clock_);
    return material ? "" : material.error().faults().front().field;
  }

  TempDir folder_;
  SystemClock clock_;
};

TEST_F(TlsFilesTest, AreRead) {
  const auto files = TlsFiles::open(write("registry"), clock_);
  ASSERT_TRUE(files) << files.error().message();
  EXPECT_EQ((*files)->current()->certificate.common_name, "registry");
  EXPECT_EQ((*files)->current()->ca_pem, authority().cert_pem());
}

TEST_F(TlsFilesTest, NameTheSettingAtFault) {
  const TlsIdentity good = write("registry");
  EXPECT_EQ(fault(good), "");
  auto absent = good;
  absent.ca_file = path() + "/absent";
  EXPECT_EQ(fault(absent), "tls_ca_file");
  auto no_key = good;
  no_key.key_file = good.cert_file;
  EXPECT_EQ(fault(no_key), "tls_key_file");
  auto no_cert = good;
  no_cert.cert_file = good.key_file;
  EXPECT_EQ(fault(no_cert), "tls_cert_file");
  folder_.write("empty", "");
  absent.ca_file = path() + "/empty";
  EXPECT_EQ(fault(absent), "tls_ca_file");
  folder_.write("other.key", authority().issue("other").key_pem);
  no_key.key_file = path() + "/other.key";
  EXPECT_EQ(fault(no_key), "tls_key_file");
}

TEST_F(TlsFilesTest, AreRefusedOutsideOfTheirTime) {
  using std::chrono::seconds;
  EXPECT_EQ(fault(write(authority().issue(
                TestCa::Request{.common_name = "a", .valid_until = seconds(-60)}))),
            "tls_cert_file");
  EXPECT_EQ(fault(write(authority().issue(
                TestCa::Request{.common_name = "a", .valid_from = seconds(3600)}))),
            "tls_cert_file");
}

TEST_F(TlsFilesTest, AreTakenAgainWhenRenewed) {
  const auto files = *TlsFiles::open(write("before"), clock_);
  const auto before = files->current();
  EXPECT_FALSE(*files->reload_if_changed());
  write("after");
  EXPECT_TRUE(*files->reload_if_changed());
  EXPECT_EQ(files->current()->certificate.common_name, "after");
  EXPECT_EQ(before->certificate.common_name, "before");  // whoever still has it keeps it
  EXPECT_FALSE(*files->reload_if_changed());
}

TEST_F(TlsFilesTest, AreTakenAgainWhenALinkTurns) {
  // As Kubernetes renews a mounted Secret: the files are links into a folder that a link names.
  const auto one = authority().write_identity(path() + "/one", "before");
  authority().write_identity(path() + "/two", "after");
  std::filesystem::create_directory_symlink("one", path() + "/data");
  TlsIdentity identity;
  identity.cert_file = path() + "/data/tls.crt";
  identity.key_file = path() + "/data/tls.key";
  identity.ca_file = path() + "/data/ca.crt";
  const auto files = *TlsFiles::open(identity, clock_);
  std::filesystem::create_directory_symlink("two", path() + "/fresh");
  std::filesystem::rename(path() + "/fresh", path() + "/data");
  EXPECT_TRUE(*files->reload_if_changed());
  EXPECT_EQ(files->current()->certificate.common_name, "after");
}

TEST_F(TlsFilesTest, KeepTheLastGoodOnesWhileARenewalIsHalfWritten) {
  const auto identity = write("before");
  const auto files = *TlsFiles::open(identity, clock_);
  const auto next = authority().issue("after");
  std::ofstream(identity.cert_file) << next.cert_pem;
  const auto halfway = files->reload_if_changed();
  ASSERT_FALSE(halfway);
  EXPECT_EQ(halfway.error().faults().front().field, "tls_key_file");
  EXPECT_EQ(files->current()->certificate.common_name, "before");
  std::ofstream(identity.key_file) << next.key_pem;
  EXPECT_TRUE(*files->reload_if_changed());
  EXPECT_EQ(files->current()->certificate.common_name, "after");
}

TEST(TlsIdentity, IsAllOrNothing) {
  TlsIdentity identity;
  Settings settings;
  identity.declare(settings);
  EXPECT_TRUE(settings.load("", {}));
  EXPECT_FALSE(identity.is_set());
  EXPECT_FALSE(settings.load("tls_cert_file: /a\n", {}));
  EXPECT_TRUE(settings.load("tls_cert_file: /a\ntls_key_file: /b\ntls_ca_file: /c\n", {}));
  EXPECT_TRUE(identity.is_set());
}

}  // namespace
}  // namespace sluice::crypto
