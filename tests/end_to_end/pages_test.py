"""The project's own pages: every path, link and name in them exists, and their options, parameters,
limits and commands are those of the program."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import abi
from host_process import HOST_STUB, PLUGIN

# The pages name files of the whole tree; Bazel shows a test only the files that the test declares.
ROOT = pathlib.Path("README.md").resolve().parent
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
READMES = [ROOT / "tests/fuzz/README.md", ROOT / "tests/benchmarks/README.md"]
CONFIGURATION = ROOT / "docs/configuration.md"
OPERATIONS = ROOT / "docs/operations.md"
TOP_FOLDERS = "docs|host_stub|plugin|proto|tests|third_party|tools"

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LINK_TEXT = re.compile(r"\[([^\]]*)\]\([^)\s]+\)")
PATH = re.compile(rf"(?<![\w/.:-])(?:\./)?((?:{TOP_FOLDERS})/[\w./-]*\w)")
LABEL = re.compile(r"//([a-z_/]*):([a-z]\w*)")
TEST = re.compile(r"`(\w+_test)`")
COMMAND = re.compile(r"host_stub ((?:[a-z]+ )*[a-z]+)")


def places():
    """(page, line, where it is) of every line of every page."""
    for page in PAGES + READMES:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            yield page, line, f"{page.relative_to(ROOT)}:{number}"


def anchors(page):
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page, heading):
    """The cells of the tables below a heading, without the tables' own headings."""
    text = page.read_text()
    section = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    rest = text[section.end() :]
    end = re.search(rf"^#{{1,{len(section[1])}}} ", rest, re.MULTILINE)
    lines = rest[: end.start() if end else None].splitlines()
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
        if line.startswith("| `")
    ]
    return {row[0].split()[0].strip("`"): row[1:] for row in cells}


def plain(cell):
    """A cell as the program says it: without links and Markdown's escapes."""
    return LINK_TEXT.sub(r"\1", cell).replace("\\|", "|").replace("—", "")


def help_of(*command):
    done = subprocess.run([HOST_STUB, *command, "--help"], capture_output=True, text=True, timeout=60)
    return done.stdout


def subcommands(*command):
    """All commands below this one, as in "instances create"."""
    section = help_of(*command).partition("\nSubcommands:\n")[2].partition("\n\n")[0]
    for name in re.findall(r"^  ([a-z]+)", section, re.MULTILINE):
        yield " ".join((*command, name))
        yield from subcommands(*command, name)


def refusal(configuration):
    """The host's error for a configuration file that it refuses."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"platform": {"product": "XSOAR_6"}, **configuration}, file)
        file.flush()
        done = subprocess.run(
            [HOST_STUB, "serve", "--plugin", PLUGIN, "--config", file.name],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode != 0, done
    return done.stderr


def known_names(configuration):
    """The names that the host lists when a name resembles none of them."""
    return set(re.search(r"known are: (.*)", refusal(configuration))[1].split(", "))


class LinksAndPathsTest(unittest.TestCase):
    def test_every_link_leads_to_a_file_and_a_heading_of_it(self):
        for page, line, place in places():
            for target in LINK.findall(line):
                if target.startswith(("http://", "https://")):
                    continue
                path, _, anchor = target.partition("#")
                file = (page.parent / path).resolve() if path else page
                self.assertTrue(file.exists(), f"{place}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(file), f"{place}: {target}")

    def test_every_path_exists(self):
        found = 0
        for _, line, place in places():
            for path in PATH.findall(LINK.sub("", line)):
                built = path in (HOST_STUB, PLUGIN) or "testdata/fuzz_NAME" in path
                self.assertTrue(built or (ROOT / path).exists(), f"{place}: {path}")
                found += 1
        self.assertGreater(found, 50)

    def test_every_target_and_every_test_exists(self):
        for _, line, place in places():
            for package, name in LABEL.findall(line):
                build = ROOT / package / "BUILD.bazel"
                self.assertTrue(build.exists() and f'"{name}' in build.read_text(), f"{place}: {name}")
            for name in TEST.findall(line):
                files = [*ROOT.glob(f"tests/*/{name}.*"), *ROOT.glob(f"[hp]*/**/{name}.*")]
                self.assertTrue(files, f"{place}: {name}")

    def test_every_promise_names_a_test_or_a_tool_that_exists(self):
        for line in (ROOT / "SECURITY.md").read_text().splitlines():
            if line.startswith("| ") and not line.startswith("| promise"):
                self.assertRegex(line.rsplit("|", 2)[1], PATH if "sanitize" not in line else ".")

    def test_the_readme_leads_to_every_page(self):
        readme = (ROOT / "README.md").read_text()
        for page in PAGES[1:]:
            self.assertIn(f"({page.relative_to(ROOT)})", readme)


class NamesTest(unittest.TestCase):
    def test_limits_are_documented_as_the_plugin_describes_them(self):
        described = abi.info(abi.load(PLUGIN)[0])["limits"]
        names = {one["name"] for one in described}
        self.assertEqual(known_names({"limits": {"zzzzzzzzzzzzzzzzzzzz": 1}}), names)
        bounds = {one["name"]: f"{one['least']:,} to {one['most']:,}" for one in described}
        self.assertEqual(
            {name: row[:2] + [plain(row[2])] for name, row in rows(CONFIGURATION, "Limits").items()},
            {
                one["name"]: [f"{one['default']:,}", bounds[one["name"]], one["meaning"]]
                for one in described
            },
        )

    def test_parameters_are_documented_and_exist(self):
        instance = {"name": "webhook", "configuration": {"zzzzzzzzzzzzzzzzzzzz": ""}}
        known = known_names({"instances": [instance]})
        parameters = {name for name in known if not name.endswith("_file")}
        described = abi.info(abi.load(PLUGIN)[0])["parameters"]
        self.assertEqual({one["name"] for one in described}, parameters)
        self.assertEqual({one["name"] for one in described if one["may_be_file"]},
                         {name[:-5] for name in known if name.endswith("_file")})
        self.assertEqual(
            {name: [plain(cell) for cell in row] for name, row in rows(CONFIGURATION, "Parameters").items()},
            {one["name"]: [one["default"], one["required"], one["meaning"]] for one in described},
        )
        page = CONFIGURATION.read_text()
        for name in known - parameters:
            self.assertIn(f"`{name}`", page)
        for contract in (
            "proto/long_running_integration/v1/instance.proto",
            "plugin/abi/long_running_integration.h",
        ):
            text = (ROOT / contract).read_text()
            for name in parameters:
                self.assertRegex(text, rf"\b{name}\b", contract)

    def test_options_of_serve_are_documented_and_exist(self):
        options = set(re.findall(r"^  (--[a-z-]+)", help_of("serve"), re.MULTILINE))
        self.assertEqual(options, set(rows(CONFIGURATION, "Options of `serve`")))

    def test_commands_are_documented_and_exist(self):
        commands = {"serve", *subcommands()}
        self.assertGreater(len(commands), 15)
        documented = set()
        for _, line, place in places():
            for said in COMMAND.findall(line):
                words = said.split()
                command = next(
                    (name for n in (2, 1) if (name := " ".join(words[:n])) in commands), None
                )
                self.assertIsNotNone(command, f"{place}: host_stub {said}")
                documented.add(command)
                # As in "instances enable NAME | disable NAME".
                parent = command.split()[0]
                alternatives = re.findall(r"\| (?:[a-z]+ )*?([a-z]+)\b", line.partition("#")[0])
                documented |= {f"{parent} {word}" for word in alternatives} & commands
        parents = {command.split()[0] for command in commands if " " in command} - {"samples"}
        self.assertEqual(documented | parents, commands)


if __name__ == "__main__":
    unittest.main()
