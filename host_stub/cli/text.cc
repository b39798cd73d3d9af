#include "host_stub/cli/text.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "plugin/base/utf8.h"

namespace host_stub {
namespace {

constexpr size_t kWidestCell = 60;

size_t CharacterCount(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::string Cut(const std::string& text) {
  if (CharacterCount(text) <= kWidestCell) return text;
  absl::string_view rest = text;
  for (size_t i = 0; i + 3 < kWidestCell; ++i) rest.remove_prefix(base::FirstCharacter(rest).bytes);
  return absl::StrCat(text.substr(0, text.size() - rest.size()), "...");
}

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using BioPointer = std::unique_ptr<BIO, Free>;
using CertificatePointer = std::unique_ptr<X509, Free>;

std::string SubjectOf(const X509* certificate) {
  const BioPointer out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return size > 0 ? std::string(data, size) : "(no subject)";
}

std::string EndOf(const X509* certificate) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return "(unknown)";
  return absl::FormatTime("%Y-%m-%d", absl::FromTimeT(timegm(&parts)), absl::UTCTimeZone());
}

}  // namespace

std::string EscapeForTerminal(absl::string_view text, bool lines) {
  std::string escaped;
  while (!text.empty()) {
    const bool layout = lines && (text[0] == '\n' || text[0] == '\t');
    if (layout) escaped += text[0];
    text.remove_prefix(layout ? 1 : base::AppendEscaped(&escaped, text));
  }
  return escaped;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    std::vector<std::string>& shown = cells.emplace_back();
    for (size_t column = 0; column < row.size(); ++column) {
      const std::string text = EscapeForTerminal(row[column], false);
      shown.push_back(column + 1 == row.size() ? text : Cut(text));
      if (widths.size() <= column) widths.push_back(0);
      widths[column] = std::max(widths[column], CharacterCount(shown.back()));
    }
  }
  std::string table;
  for (const std::vector<std::string>& row : cells) {
    for (size_t column = 0; column < row.size(); ++column) {
      absl::StrAppend(&table, row[column]);
      if (column + 1 == row.size()) break;
      table.append(widths[column] - CharacterCount(row[column]) + 2, ' ');
    }
    table.push_back('\n');
  }
  return table;
}

void PrintList(bool json, const std::vector<std::string>& documents,
               const std::vector<std::vector<std::string>>& rows, const char* none) {
  if (json) {
    std::puts(JsonArray(documents).c_str());
  } else if (documents.empty()) {
    std::puts(none);
  } else {
    std::fputs(FormatTable(rows).c_str(), stdout);
  }
}

int Fail(absl::string_view message, int exit_code) {
  std::fprintf(stderr, "host_stub: %s\n", EscapeForTerminal(message, false).c_str());
  return exit_code;
}

std::string DescribeCertificates(absl::string_view pem) {
  const BioPointer in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::string text;
  while (true) {
    const CertificatePointer one(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
    if (one == nullptr) break;
    absl::StrAppend(&text, text.empty() ? "" : "; ", SubjectOf(one.get()), ", valid until ",
                    EndOf(one.get()));
  }
  ERR_clear_error();
  return text;
}

}  // namespace host_stub
