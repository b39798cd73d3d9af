"""Tests written in Python, run by the system's interpreter (Bazel 4's own py_test does not work here)."""

def python_test(name, src, data = [], **kwargs):
    """A unittest file; each of its cases counts as one.

    Args:
      name: of the test.
      src: the file with the cases.
      data: what they read.
      **kwargs: passed on to sh_test.
    """
    native.sh_test(
        name = name,
        srcs = ["//tests/support:python_test.sh"],
        args = ["$(rootpath %s)" % src],
        data = [src, "//tests/support:python_support"] + data,
        **kwargs
    )
