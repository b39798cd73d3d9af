// The version of this project, which the plugin tells its host and `host_stub --version` prints.
// The version of the interface between the two is LRI_ABI_MINOR.
#ifndef PLUGIN_ABI_VERSION_H_
#define PLUGIN_ABI_VERSION_H_

namespace webhook {

inline constexpr char kVersion[] = "0.1.0";  // semantic versioning

}  // namespace webhook

#endif  // PLUGIN_ABI_VERSION_H_
