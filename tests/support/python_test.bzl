"""Tests written in Python, run by the system's interpreter (Bazel 4's own py_test does not work here)."""

# The programs that host_process.py starts.
HOST_PROGRAM = [
    "//host_stub",
    "//plugin:webhook_plugin.so",
]

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

def host_test(name, data = [], size = "medium", **kwargs):
    """A python_test of NAME.py that runs the built host with the built plugin.

    Args:
      name: of the test.
      data: what it reads beside them.
      size: as of any test.
      **kwargs: passed on.
    """
    python_test(
        name = name,
        size = size,
        src = name + ".py",
        data = HOST_PROGRAM + data,
        **kwargs
    )
