#include "host_stub/store/postgres/sealing.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr size_t kIdBytes = 8;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

unsigned char* Bytes(std::string& text, size_t at = 0) {
  return reinterpret_cast<unsigned char*>(text.data()) + at;
}
const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string IdOf(absl::string_view key) {
  const std::string text = absl::StrCat("id of a key of Generic Webhook\n", key);
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_Digest(text.data(), text.size(), hash, &length, EVP_sha256(), nullptr);
  return absl::BytesToHexString({reinterpret_cast<const char*>(hash), kIdBytes});
}

// The identity has 16 digits, and no other part a line break.
std::string Associated(const SealedPlace& place) {
  return absl::StrCat("1\n", place.store, "\n", place.uid, "\n", place.generation);
}

// The part of a cipher that is the same in both directions. 0: it failed.
int Run(EVP_CIPHER_CTX* cipher, absl::string_view place, absl::string_view from, std::string& to,
        size_t at) {
  int length = 0;
  int rest = 0;
  return EVP_CipherUpdate(cipher, nullptr, &length, Bytes(place), static_cast<int>(place.size())) &&
         EVP_CipherUpdate(cipher, Bytes(to, at), &length, Bytes(from),
                          static_cast<int>(from.size())) &&
         EVP_CipherFinal_ex(cipher, Bytes(to, at) + length, &rest);
}

}  // namespace

Sealing::Sealing(const std::vector<std::string>& keys) {
  for (const std::string& hex : keys) {
    std::string bytes = absl::HexStringToBytes(hex);
    std::string id = IdOf(bytes);
    keys_.push_back({std::move(id), std::move(bytes)});
  }
}

Sealing::~Sealing() {
  for (Key& key : keys_) OPENSSL_cleanse(key.bytes.data(), key.bytes.size());
}

absl::StatusOr<Sealing::Sealed> Sealing::Seal(absl::string_view text,
                                              const SealedPlace& place) const {
  if (keys_.empty()) return Sealed{std::string(text), ""};
  Sealed sealed{std::string(kNonceBytes + text.size() + kTagBytes, '\0'), keys_[0].id};
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  const bool done = RAND_bytes(Bytes(sealed.bytes), kNonceBytes) == 1 &&
                    EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr,
                                       Bytes(keys_[0].bytes), Bytes(sealed.bytes)) &&
                    Run(cipher.get(), Associated(place), text, sealed.bytes, kNonceBytes) &&
                    EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                                        Bytes(sealed.bytes, kNonceBytes + text.size()));
  if (!done) return absl::InternalError("OpenSSL could not seal an instance's configuration");
  return sealed;
}

absl::StatusOr<std::string> Sealing::Open(const Sealed& sealed, const SealedPlace& place) const {
  if (sealed.key_id.empty()) return sealed.bytes;
  const auto key = std::find_if(keys_.begin(), keys_.end(),
                                [&](const Key& one) { return one.id == sealed.key_id; });
  if (key == keys_.end()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "its configuration is sealed with the key ", sealed.key_id,
        ", which this host has not: add its file to `secrets_key_files` in `store`, and restart"));
  }
  const size_t least = kNonceBytes + kTagBytes;
  const size_t size = std::max(sealed.bytes.size(), least) - least;
  std::string text(size, '\0');
  std::string tag = sealed.bytes.substr(std::min(sealed.bytes.size(), kNonceBytes + size));
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  const bool done =
      sealed.bytes.size() >= least &&
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Bytes(key->bytes),
                         Bytes(sealed.bytes)) &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, Bytes(tag)) &&
      Run(cipher.get(), Associated(place),
          absl::string_view(sealed.bytes).substr(kNonceBytes, size), text, 0);
  if (done) return text;
  OPENSSL_cleanse(text.data(), text.size());
  return absl::DataLossError(
      absl::StrCat("its configuration does not open with the key ", sealed.key_id,
                   ": the row was changed in the database; delete the instance, and make it anew"));
}

absl::StatusOr<Rekeyed> RekeyInstances(PostgresConnection& connection, const Sealing& sealing) {
  Rekeyed rekeyed;
  absl::Status status = connection.RunScript("BEGIN ISOLATION LEVEL READ COMMITTED");
  if (!status.ok()) return status;
  const auto store = connection.Run(
      "UPDATE generic_webhook.meta SET configured = configured + 1 RETURNING identity");
  if (!store.ok()) return store.status();
  const auto rows = connection.Run(
      "SELECT uid, name, configuration, key_id, generation FROM "
      "generic_webhook.configured_instance ORDER BY name");
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->size(); ++row) {
    const SealedPlace place{std::string(store->Text(0, 0)), std::string(rows->Text(row, 0)),
                            rows->Integer(row, 4)};
    absl::StatusOr<std::string> text =
        sealing.Open({std::string(rows->Text(row, 2)), std::string(rows->Text(row, 3))}, place);
    if (!text.ok()) {
      rekeyed.faults.push_back(
          absl::StrCat("instance ", rows->Text(row, 1), ": ", text.status().message()));
      continue;
    }
    const absl::StatusOr<Sealing::Sealed> sealed = sealing.Seal(*text, place);
    OPENSSL_cleanse(text->data(), text->size());
    if (!sealed.ok()) return sealed.status();
    const auto written = connection.Run(
        "UPDATE generic_webhook.configured_instance SET configuration = $2, key_id = $3 "
        "WHERE uid = $1",
        PostgresValues().Add(place.uid).AddBytes(sealed->bytes).Add(sealed->key_id));
    if (!written.ok()) return written.status();
    ++rekeyed.instances;
  }
  status = connection.RunScript("COMMIT");
  if (!status.ok()) return status;
  return rekeyed;
}

}  // namespace host_stub
