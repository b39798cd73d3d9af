#include "plugin/sources/json_values.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"
#include "plugin/core/details_object.h"

namespace webhook::sources {
namespace {

absl::Status Malformed(absl::string_view path) {
  return absl::InvalidArgumentError(
      absl::StrCat("the path \"", path,
                   "\" is malformed: names are joined by dots, [0] is an element, $ the whole"));
}

}  // namespace

absl::StatusOr<uint32_t> JsonPaths::Add(absl::string_view path) {
  uint32_t node = 0;
  size_t steps = 0;
  size_t at = path == "$" ? 1 : 0;
  if (path.empty()) return Malformed(path);
  while (at < path.size()) {
    if (++steps > kMostSteps) return Malformed(path);
    if (path[at] == '[') {
      const size_t end = path.find(']', at);
      const absl::string_view inside = path.substr(at + 1, end - at - 1);
      uint32_t index = 0;
      if (end == absl::string_view::npos || inside.empty() ||
          !std::all_of(inside.begin(), inside.end(), base::IsDigit) ||
          !absl::SimpleAtoi(inside, &index)) {
        return Malformed(path);
      }
      node = Child(node, {}, index, /*is_element=*/true);
      at = end + 1;
    } else {
      std::string name;
      for (; at < path.size() && path[at] != '.' && path[at] != '['; ++at) {
        if (path[at] == '\\' && ++at == path.size()) return Malformed(path);
        name.push_back(path[at]);
      }
      if (name.empty()) return Malformed(path);
      node = Child(node, name, 0, /*is_element=*/false);
    }
    if (at < path.size() && path[at] == '.' && ++at == path.size()) return Malformed(path);
  }
  if (nodes_[node].slot == kNone) nodes_[node].slot = static_cast<uint32_t>(slots_++);
  return nodes_[node].slot;
}

uint32_t JsonPaths::Child(uint32_t node, absl::string_view name, uint32_t index, bool is_element) {
  const auto added = static_cast<uint32_t>(nodes_.size());
  if (is_element) {
    for (const auto& [known, child] : nodes_[node].elements) {
      if (known == index) return child;
    }
    nodes_[node].elements.emplace_back(index, added);
  } else {
    for (const auto& [known, child] : nodes_[node].names) {
      if (known == name) return child;
    }
    nodes_[node].names.emplace_back(name, added);
    nodes_[node].marks |= MarkOf(name);
  }
  nodes_.emplace_back();
  return added;
}

bool JsonPaths::Walk(base::JsonReader& reader, FoundValues& found) const {
  found.Clear(slots_);
  return WalkNode(0, reader, nullptr, found);
}

uint32_t JsonPaths::ChildOf(const Node& node, const base::JsonValue& key) const {
  const auto child_of = [&](absl::string_view name) {
    for (const auto& [known, child] : node.names) {
      if (known == name) return child;
    }
    return kNone;
  };
  return key.escaped ? child_of(base::TextOfString(key)) : child_of(key.inside());
}

void JsonPaths::Forget(uint32_t node, FoundValues& found) const {
  if (nodes_[node].slot != kNone) found.values_[nodes_[node].slot].walk = found.walk_ - 1;
  for (const auto& [name, child] : nodes_[node].names) Forget(child, found);
  for (const auto& [index, child] : nodes_[node].elements) Forget(child, found);
}

// As deep as the longest path.
bool JsonPaths::WalkNode(uint32_t index, base::JsonReader& reader, const char* key,
                         FoundValues& found) const {
  const Node& node = nodes_[index];
  const char first = reader.Peek();
  const bool enters_object = first == '{' && !node.names.empty();
  const bool enters_array = first == '[' && !node.elements.empty();
  const base::JsonReader::Place place = reader.place();
  base::JsonValue value;
  bool plain = false;
  if (!enters_object && !enters_array) {
    if (node.slot == kNone) return reader.SkipValue();
    if (!reader.ReadValue(value)) return false;
  } else {
    const char* const begin = reader.position();
    bool empty = true;
    bool is_written = false;
    uint32_t next = 0;
    uint64_t seen = 0;  // of which child, but for its multiples of 64
    const auto read_member = [&](const base::JsonValue& name) {
      empty = false;
      is_written = is_written || core::WhichKey(name) >= core::KnownKey::kHeaders;
      const bool is_other = !name.escaped && (node.marks & MarkOf(name.inside())) == 0;
      const uint32_t child = is_other ? kNone : ChildOf(node, name);
      if (child == kNone) return reader.SkipValue();
      const uint64_t bit = uint64_t{1} << (child % 64);
      if ((seen & bit) != 0) Forget(child, found);  // a repeated name: the last one counts
      seen |= bit;
      return WalkNode(child, reader, name.text.data(), found);
    };
    const auto read_item = [&] {
      empty = false;
      const uint32_t at = next++;
      for (const auto& [wanted, child] : node.elements) {
        if (wanted == at) return WalkNode(child, reader, nullptr, found);
      }
      return reader.SkipValue();
    };
    const bool good = enters_object ? reader.EachMember(read_member) : reader.EachItem(read_item);
    if (!good) return false;
    value.kind = base::KindOf(first);
    value.empty = empty;
    plain = enters_object && !empty && !is_written;
    value.text = absl::string_view(begin, static_cast<size_t>(reader.bracket_end() - begin));
  }
  if (node.slot != kNone) found.values_[node.slot] = {value, place, key, found.walk_, plain};
  return true;
}

}  // namespace webhook::sources
