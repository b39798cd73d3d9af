// What a person needs to know of samples in order to write a mapper: every path in them.
#ifndef PLUGIN_CORE_SAMPLE_FIELDS_H_
#define PLUGIN_CORE_SAMPLE_FIELDS_H_

#include <span>
#include <string>

#include "plugin/core/samples.h"

namespace webhook::core {

// A JSON array, in the order of the paths:
//   [{"path":"items[].user.id","types":["number"],"example":"5","count":3}]
// `path` is one that JsonPath understands. `example` is a value as JSON text, cut where it is
// long; null only where nothing else was seen. `count` tells in how many samples the path occurs.
// Samples that are truncated are no JSON, and not looked at. At most `most_fields` are listed, and
// none whose path is longer than 1,024 bytes.
std::string ListFields(std::span<const SharedSample> samples, size_t most_fields);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_SAMPLE_FIELDS_H_
