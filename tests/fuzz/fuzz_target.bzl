"""Fuzz targets: one function over any bytes, and the seeds that it starts from."""

def fuzz_target(name, srcs, deps):
    """A fuzz target in two programs.

    NAME_replay is a test: it plays the seeds, each whole and cut at many lengths, with the product's
    own compiler. NAME is the program that tools/fuzz runs; only clang can link it, hence "manual".

    Args:
      name: WHAT_fuzz; the seeds are the files in testdata/fuzz_WHAT of this package.
      srcs: have LLVMFuzzerTestOneInput in one of them.
      deps: what srcs use.
    """
    if not name.endswith("_fuzz"):
        fail("the name of a fuzz target ends in _fuzz")
    corpus = "testdata/fuzz_" + name[:-len("_fuzz")]
    native.cc_library(
        name = name + "_function",
        testonly = True,
        srcs = srcs,
        deps = deps,
        alwayslink = True,
    )
    native.cc_test(
        name = name + "_replay",
        size = "small",
        srcs = ["//tests/fuzz:replay.cc"],
        args = [native.package_name() + "/" + corpus],
        data = native.glob([corpus + "/*"]),
        deps = [name + "_function"],
    )
    native.cc_binary(
        name = name,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = [
            "fuzz",
            "manual",
        ],
        deps = [name + "_function"],
    )
