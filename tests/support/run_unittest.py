"""Runs a unittest file and writes one JUnit <testcase> for each case to $XML_OUTPUT_FILE."""

import importlib.util
import os
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree


class JUnitResult(unittest.TextTestResult):
    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.suite = ElementTree.Element("testsuite", name="python")

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def _record(self, test, failure=None):
        case = ElementTree.SubElement(
            self.suite,
            "testcase",
            name=test.id(),
            time=f"{time.monotonic() - getattr(self, 'started', time.monotonic()):.3f}",
        )
        if failure is not None:
            # XML has no place for control characters.
            text = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in failure)
            ElementTree.SubElement(case, "failure").text = text

    def addSuccess(self, test):
        super().addSuccess(test)
        self._record(test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._record(test, self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        self._record(test, self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._record(test, "skipped: " + reason)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._record(subtest, self._exc_info_to_string(error, test))


def main():
    specification = importlib.util.spec_from_file_location("cases", sys.argv[1])
    module = importlib.util.module_from_spec(specification)
    sys.modules["cases"] = module  # where unittest looks for setUpModule
    specification.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2, resultclass=JUnitResult).run(suite)
    if "XML_OUTPUT_FILE" in os.environ:
        root = ElementTree.Element("testsuites")
        root.append(result.suite)
        ElementTree.ElementTree(root).write(os.environ["XML_OUTPUT_FILE"])
    # A skipped case proves nothing, so it does not pass.
    return 0 if result.wasSuccessful() and not result.skipped and result.testsRun else 1


sys.exit(main())
