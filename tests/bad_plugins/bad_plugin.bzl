"""Shared objects that are wrong in one way each."""

# The functions of the plugin's table out of which throws_in_FUNCTION.so lets an exception.
THROWING_FUNCTIONS = [
    "info",
    "plugin_create",
    "plugin_destroy",
    "create",
    "start",
    "stop",
    "destroy",
    "check_head",
    "execute",
    "cancel",
    "update_prepare",
    "describe",
    "command",
]

def bad_plugin(name, src, defines = []):
    """A plugin of one source file beside harmless.h.

    Args:
      name: of the shared object, with .so.
      src: the file, C or C++.
      defines: for the preprocessor, of this plugin alone.
    """
    native.cc_binary(
        name = name,
        testonly = True,
        visibility = ["//tests:__subpackages__"],
        srcs = [
            src,
            "harmless.h",
        ],
        linkopts = [
            "-Wl,-z,defs",
            "-lpthread",
        ],
        linkshared = True,
        linkstatic = True,
        local_defines = defines,
        deps = ["//plugin/abi"],
    )
