"""Turns `bazel aquery --output=jsonproto` on standard input into compile_commands.json.

Usage: compile_commands.py EXECUTION_ROOT
"""

import json
import sys

# Understood by GCC alone.
NOT_FOR_CLANG = {"-fno-canonical-system-headers", "-Wno-free-nonheap-object"}


def main():
    commands = []
    for action in json.load(sys.stdin)["actions"]:
        arguments = [a for a in action["arguments"] if a not in NOT_FOR_CLANG]
        commands.append(
            {
                "directory": sys.argv[1],
                "file": arguments[arguments.index("-c") + 1],
                "arguments": arguments,
            }
        )
    json.dump(commands, sys.stdout, indent=1)


main()
