"""Makes the system's packages visible to Bazel as @system//:NAME.

Headers come from the compiler's default folders. Shared libraries are link
options; static ones are symlinked in, since only a file in `srcs` stays inside
a shared object. Abseil and simdjson exist a second time, and RE2 only so, built from Debian's source
packages: their archives are not position independent, and the plugin needs them inside. Of RE2
the source package lacks the tables of characters; those alone come from its archive.
A missing file stops the build with its Debian package's name.
"""

_LIBRARY_FOLDER = "/usr/lib/x86_64-linux-gnu"

_ABSEIL = [
    "status",
    "statusor",
    "cord",
    "cord_internal",
    "cordz_info",
    "cordz_handle",
    "cordz_functions",
    "synchronization",
    "graphcycles_internal",
    "time",
    "time_zone",
    "civil_time",
    "strings",
    "strings_internal",
    "str_format_internal",
    "hash",
    "city",
    "low_level_hash",
    "raw_hash_set",
    "random_distributions",
    "random_seed_sequences",
    "random_internal_pool_urbg",
    "int128",
    "throw_delegate",
    "base",
    "raw_logging_internal",
    "spinlock_wait",
    "log_severity",
]

# name -> (a file that must exist, its Debian package, link options)
_SHARED = {
    "abseil": ("/usr/include/absl/status/statusor.h", "libabsl-dev", ["-Wl,--as-needed"] + ["-labsl_" + name for name in _ABSEIL]),
    "benchmark": ("/usr/include/benchmark/benchmark.h", "libbenchmark-dev", ["-lbenchmark"]),
    "boost": ("/usr/include/boost/beast/core.hpp", "libboost1.81-dev", ["-lpthread"]),
    "cli11": ("/usr/include/CLI/CLI.hpp", "libcli11-dev", []),
    "dl": ("/usr/include/dlfcn.h", "libc6-dev", ["-ldl"]),
    "grpc": ("/usr/include/grpcpp/grpcpp.h", "libgrpc++-dev", ["-lgrpc++_reflection", "-lgrpc++", "-lgrpc", "-lgpr", "-labsl_synchronization"]),
    "gtest": ("/usr/include/gtest/gtest.h", "libgtest-dev", ["-lgtest", "-lpthread"]),
    "gtest_main": ("/usr/include/gmock/gmock.h", "libgmock-dev", ["-lgmock", "-lgtest_main", "-lgtest", "-lpthread"]),
    "openssl": ("/usr/include/openssl/ssl.h", "libssl-dev", ["-lssl", "-lcrypto"]),
    "postgres": ("/usr/include/postgresql/libpq-fe.h", "libpq-dev", ["-lpq"]),
    "protobuf": ("/usr/include/google/protobuf/message.h", "libprotobuf-dev", ["-lprotobuf"]),
    "prometheus": ("/usr/include/prometheus/text_serializer.h", "prometheus-cpp-dev", ["-lprometheus-cpp-core"]),
    "simdjson": ("/usr/include/simdjson.h", "libsimdjson-dev", ["-lsimdjson"]),
    "sqlite": ("/usr/include/sqlite3.h", "libsqlite3-dev", ["-lsqlite3"]),
    "zlib": ("/usr/include/zlib.h", "zlib1g-dev", ["-lz"]),
}

# name -> (archives, their Debian package, link options)
_STATIC = {
    "brotli_static": (["libbrotlienc.a", "libbrotlidec.a", "libbrotlicommon.a"], "libbrotli-dev", []),
    "openssl_static": (["libssl.a", "libcrypto.a"], "libssl-dev", ["-ldl", "-lpthread"]),
    "zstd_static": (["libzstd.a"], "libzstd-dev", []),
}

# name -> (Debian's source package, its files, a flag that finds its headers, an archive and those of
# its members that the source package lacks)
_FROM_SOURCE = {
    "abseil_static": (
        "abseil",
        ["abseil/absl/%s/*.cc" % folder for folder in [
            "base",
            "base/internal",
            "debugging",
            "debugging/internal",
            "numeric",
            "profiling/internal",
            "status",
            "strings",
            "strings/internal",
            "synchronization",
            "synchronization/internal",
            "time",
            "time/internal/cctz/src",
        ]],
        "-Iexternal/system/abseil",
        [],
    ),
    "re2_static": (
        "re2",
        [
            "re2/re2/*.cc",
            "re2/util/rune.cc",
            "re2/util/strutil.cc",
        ],
        "-Iexternal/system/re2",
        # Tables that a script makes of Unicode's data. They are data alone, so that it does not matter
        # that the archive is not for shared objects.
        ["libre2.a", "perl_groups", "unicode_casefold", "unicode_groups"],
    ),
    "simdjson_static": (
        "simdjson",
        ["simdjson/singleheader/simdjson.cpp"],
        "-Iexternal/system/simdjson/singleheader",
        [],
    ),
}

_TOOLS = {
    "grpc_cpp_plugin": "protobuf-compiler-grpc",
    "protoc": "protobuf-compiler",
}

def _require(ctx, file, package):
    path = ctx.path(file)
    if not path.exists:
        fail("%s is missing: install the Debian package %s (./tools/install-packages does)" % (file, package))
    return path

def _library(name, srcs, linkopts):
    return "cc_library(name = %r, srcs = %r, linkopts = %r)\n" % (name, srcs, linkopts)

def _library_from_source(name, files, include, objects):
    return """cc_library(
    name = %r,
    srcs = glob(%r, exclude = ["**/*test*.cc", "**/*benchmark*.cc"]) + %r,
    copts = ["-w", "-fvisibility=hidden", %r],
    deps = [":headers_of_%s"],
)
cc_library(
    name = "headers_of_%s",
    textual_hdrs = glob(["%s/**/*.h", "%s/**/*.inc"]),
)
""" % (name, files, objects, include, name, name, files[0].split("/")[0], files[0].split("/")[0])

def _system_libraries_impl(ctx):
    build = ["package(default_visibility = [\"//visibility:public\"])\n"]

    # Headers alone: for a library whose user chooses static or shared OpenSSL.
    build.append(_library("openssl_headers", [], []))
    for name, (file, package, linkopts) in _SHARED.items():
        _require(ctx, file, package)
        build.append(_library(name, [], linkopts))
    for name, (archives, package, linkopts) in _STATIC.items():
        for archive in archives:
            ctx.symlink(_require(ctx, _LIBRARY_FOLDER + "/" + archive, package), archive)
        build.append(_library(name, archives, linkopts))
    for name, (package, files, include, missing) in _FROM_SOURCE.items():
        source = ctx.path("%s/.cache/generic-webhook-sources/%s" % (ctx.os.environ["HOME"], package))
        if not source.exists:
            fail("%s is missing: run ./tools/install-sources" % source)
        ctx.symlink(source, package)
        objects = [member + ".pic.o" for member in missing[1:]]
        if missing:
            archive = _require(ctx, _LIBRARY_FOLDER + "/" + missing[0], package)
            for member in missing[1:]:
                ctx.execute(["ar", "x", archive, member + ".o"])
                ctx.execute(["mv", member + ".o", member + ".pic.o"])
        build.append(_library_from_source(name, files, include, objects))
    for tool, package in _TOOLS.items():
        ctx.symlink(_require(ctx, "/usr/bin/" + tool, package), tool)
    build.append("exports_files(%r)\n" % _TOOLS.keys())
    ctx.file("BUILD.bazel", "\n".join(build))

system_libraries = repository_rule(
    implementation = _system_libraries_impl,
    local = True,
)
