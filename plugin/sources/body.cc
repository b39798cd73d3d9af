#include "plugin/sources/body.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"
#include "plugin/core/query.h"

namespace webhook::sources {
namespace {

// The parameter of that name of a header's value (RFC 9110 section 5.6.6); empty without one.
std::string Parameter(absl::string_view value, absl::string_view wanted) {
  size_t at = value.find(';');
  while (at < value.size()) {
    value.remove_prefix(at + 1);
    const size_t equals = value.find_first_of("=;");
    if (equals == absl::string_view::npos) break;
    at = equals;
    if (value[equals] == ';') continue;
    const absl::string_view name = base::WithoutBlanks(value.substr(0, equals));
    value.remove_prefix(equals + 1);
    value = absl::StripLeadingAsciiWhitespace(value);
    std::string text;
    if (absl::StartsWith(value, "\"")) {
      size_t i = 1;
      for (; i < value.size() && value[i] != '"'; ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) ++i;
        text.push_back(value[i]);
      }
      at = value.find(';', i);
    } else {
      at = value.find(';');
      text = std::string(base::WithoutBlanks(value.substr(0, at)));
    }
    if (absl::EqualsIgnoreCase(name, wanted)) return text;
  }
  return "";
}

// One attribute of a CloudEvent from its header (section 3.1.3.2).
absl::StatusOr<std::string> AttributeText(absl::string_view value) {
  std::string unquoted;
  if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
    for (size_t i = 0; i < value.size(); ++i) {
      if (value[i] == '\\' && i + 1 < value.size()) ++i;
      unquoted.push_back(value[i]);
    }
    value = unquoted;
  }
  std::string text;
  core::AppendPercentDecoded(value, /*plus_is_blank=*/false, &text);
  if (!base::IsUtf8(text)) return absl::InvalidArgumentError("an attribute is no UTF-8");
  return text;
}

void AppendMember(absl::string_view name, absl::string_view json, std::string* out) {
  out->push_back(out->empty() ? '{' : ',');
  base::AppendJsonString(out, name);
  absl::StrAppend(out, ":", json);
}

absl::Status NotJson(const base::JsonFault& fault) {
  return absl::InvalidArgumentError(absl::StrCat("byte ", fault.byte, ": ", fault.what));
}

std::string Quoted(absl::string_view text) {
  std::string out;
  base::AppendJsonString(&out, text);
  return out;
}

}  // namespace

std::string DecodeFormText(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  core::AppendPercentDecoded(text, /*plus_is_blank=*/true, &out);
  return out;
}

FoundParameter FindParameter(absl::string_view query, absl::string_view name) {
  FoundParameter found;
  core::EachParameter(query, [&](absl::string_view key, absl::string_view value) {
    const bool plain = key.find_first_of("%+") == absl::string_view::npos;
    if (plain ? key != name : DecodeFormText(key) != name) return true;
    if (found.count++ == 0) found.value = DecodeFormText(value);
    return true;
  });
  return found;
}

absl::StatusOr<Fields> ReadForm(absl::string_view body) {
  Fields fields;
  bool good = true;
  absl::ConsumePrefix(&body, base::kByteOrderMark);
  core::EachParameter(body, [&](absl::string_view name, absl::string_view value) {
    fields.emplace_back(DecodeFormText(name), DecodeFormText(value));
    good = base::IsUtf8(fields.back().first) && base::IsUtf8(fields.back().second);
    return good && fields.size() <= kMostFormFields;
  });
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("field ", fields.size(), " of the form is no UTF-8"));
  }
  if (fields.size() > kMostFormFields) {
    return absl::ResourceExhaustedError(
        absl::StrCat("A form may have ", kMostFormFields, " fields at most"));
  }
  return fields;
}

std::string JsonOfFields(const Fields& fields) {
  std::map<absl::string_view, std::vector<size_t>> by_name;
  for (size_t i = 0; i < fields.size(); ++i) by_name[fields[i].first].push_back(i);
  std::string json;
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::vector<size_t>& same = by_name[fields[i].first];
    if (same[0] != i) continue;
    std::string value;
    for (const size_t one : same) {
      if (same.size() > 1) value.push_back(one == i ? '[' : ',');
      base::AppendJsonString(&value, fields[one].second);
    }
    if (same.size() > 1) value.push_back(']');
    AppendMember(fields[i].first, value, &json);
  }
  return json.empty() ? "{}" : json + "}";
}

absl::StatusOr<absl::string_view> ReadJsonLines(absl::string_view body, int max_depth,
                                                std::string* array) {
  base::JsonReader reader(max_depth, /*lone_surrogates=*/true);
  if (!reader.Open(body)) return NotJson(reader.fault());
  std::vector<absl::string_view> values;
  while (reader.Peek() != '\0') {
    base::JsonValue value;
    if (!reader.ReadValue(value)) return NotJson(reader.fault());
    values.push_back(value.text);
  }
  if (values.size() == 1) return body;
  array->reserve(body.size() + 2 + values.size());
  for (const absl::string_view value : values) {
    absl::StrAppend(array, array->empty() ? "[" : ",", value);
  }
  array->push_back(']');
  return absl::string_view(*array);
}

std::string MediaType(absl::string_view content_type) {
  return absl::AsciiStrToLower(base::WithoutBlanks(content_type.substr(0, content_type.find(';'))));
}

bool IsJsonType(absl::string_view media_type) {
  return media_type == "application/json" || media_type == "text/json" ||
         absl::EndsWith(media_type, "+json");
}

absl::StatusOr<absl::string_view> FindJsonPart(absl::string_view body,
                                               absl::string_view content_type) {
  const std::string boundary = Parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 70) {  // RFC 2046 section 5.1.1
    return absl::InvalidArgumentError("the Content-Type names no boundary of 1 to 70 characters");
  }
  const std::string delimiter = absl::StrCat("\r\n--", boundary);
  absl::string_view rest = body;
  if (absl::StartsWith(rest, absl::string_view(delimiter).substr(2))) {
    rest.remove_prefix(delimiter.size() - 2);
  } else if (const size_t first = rest.find(delimiter); first != absl::string_view::npos) {
    rest.remove_prefix(first + delimiter.size());
  } else {
    return absl::InvalidArgumentError("the boundary that the Content-Type names is not there");
  }
  std::vector<absl::string_view> typed, alike;
  for (size_t parts = 0; !absl::StartsWith(rest, "--"); ++parts) {
    if (parts == kMostParts) {
      return absl::ResourceExhaustedError(
          absl::StrCat("A multipart body may have ", kMostParts, " parts at most"));
    }
    while (!rest.empty() && base::IsBlank(rest.front())) rest.remove_prefix(1);
    const bool begins = absl::ConsumePrefix(&rest, "\r\n");
    const size_t end = rest.find(delimiter);
    if (!begins || end == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("part ", parts + 1, " is cut short"));
    }
    const absl::string_view part = rest.substr(0, end);
    rest.remove_prefix(end + delimiter.size());
    const bool no_headers = absl::StartsWith(part, "\r\n");
    const size_t head_end = no_headers ? 0 : part.find("\r\n\r\n");
    if (head_end == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("part ", parts + 1, " has no empty line"));
    }
    const absl::string_view content = part.substr(head_end + (no_headers ? 2 : 4));
    std::string type;
    bool is_file = false;
    absl::string_view head = part.substr(0, head_end);
    while (!head.empty()) {
      const size_t line_end = std::min(head.find("\r\n"), head.size());
      const absl::string_view line = head.substr(0, line_end);
      head.remove_prefix(std::min(line_end + 2, head.size()));
      const size_t colon = line.find(':');
      if (colon == absl::string_view::npos) continue;
      const absl::string_view value = base::WithoutBlanks(line.substr(colon + 1));
      if (absl::EqualsIgnoreCase(line.substr(0, colon), "content-type")) type = MediaType(value);
      if (absl::EqualsIgnoreCase(line.substr(0, colon), "content-disposition")) {
        is_file = !Parameter(value, "filename").empty();
      }
    }
    const absl::string_view begin = absl::StripLeadingAsciiWhitespace(content);
    if (IsJsonType(type)) {
      typed.push_back(content);
    } else if (!is_file && (absl::StartsWith(begin, "{") || absl::StartsWith(begin, "["))) {
      alike.push_back(content);
    }
  }
  const std::vector<absl::string_view>& json = typed.empty() ? alike : typed;
  if (json.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected one part of the type application/json; there are ", json.size()));
  }
  return json[0];
}

absl::StatusOr<std::string> JsonOfCloudEvent(std::span<const core::HeaderView> headers,
                                             absl::string_view body, int max_depth) {
  std::string json;
  std::vector<std::string> names;
  absl::string_view content_type;
  for (const core::HeaderView& header : headers) {
    if (header.IsNamed("content-type")) content_type = base::WithoutBlanks(header.value);
    if (!absl::StartsWithIgnoreCase(header.name, "ce-")) continue;
    const std::string name = absl::AsciiStrToLower(header.name.substr(3));
    if (name == "data" || name == "data_base64" || name == "datacontenttype" ||
        std::find(names.begin(), names.end(), name) != names.end()) {
      return absl::InvalidArgumentError(absl::StrCat("not a CloudEvent: the header ce-", name,
                                                     " must not be there, or not twice"));
    }
    absl::StatusOr<std::string> text = AttributeText(base::WithoutBlanks(header.value));
    if (!text.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("not a CloudEvent: the header ce-", name, " is no UTF-8"));
    }
    AppendMember(name, Quoted(*text), &json);
    names.push_back(name);
  }
  for (const char* const needed : {"id", "source", "type", "specversion"}) {
    if (std::find(names.begin(), names.end(), needed) == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("not a CloudEvent: the header ce-", needed, " is missing"));
    }
  }
  if (!content_type.empty()) {
    if (!base::IsUtf8(content_type)) {
      return absl::InvalidArgumentError("not a CloudEvent: the Content-Type is no UTF-8");
    }
    AppendMember("datacontenttype", Quoted(content_type), &json);
  }
  if (IsJsonType(MediaType(content_type))) {
    if (!absl::StripLeadingAsciiWhitespace(body).empty()) {
      base::JsonReader reader(max_depth, /*lone_surrogates=*/true);
      base::JsonValue data;
      if (!reader.Open(body) || !reader.ReadValue(data) || !reader.Finish()) {
        return NotJson(reader.fault());
      }
      AppendMember("data", data.text, &json);
    }
  } else if (base::IsUtf8(body)) {
    if (!body.empty()) AppendMember("data", Quoted(body), &json);
  } else {
    AppendMember("data_base64", Quoted(absl::Base64Escape(body)), &json);
  }
  return json + "}";
}

}  // namespace webhook::sources
