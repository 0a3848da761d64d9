"""docs/quickstart.md: every command runs, and prints what the page says below it."""

import re
import subprocess
import unittest

from cli import BIN, SOURCE, CliTest

PAGE = SOURCE / "docs/quickstart.md"
PROMPT = "    $ "


def commands():
    """(command, the lines shown below it), in order."""
    found = []
    for line in PAGE.read_text().splitlines():
        if line.startswith(PROMPT):
            found.append((line[len(PROMPT):], []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
    return found


def words(line):
    """What stays the same from machine to machine: names and headings, not figures and bars, nor what follows a …"""
    return re.findall(r"[A-Za-z_]\w*(?=[\s:]|$)", re.sub(r"…|/\S+", "", line))


class Quickstart(CliTest):
    def test_commands_do_what_the_page_says(self):
        shown = commands()
        self.assertGreater(len(shown), 10)
        env = self.env | {"PATH": f"{BIN}:{self.env['PATH']}"}
        for command, lines in shown:
            with self.subTest(command):
                result = subprocess.run(["bash", "-c", command], cwd=self.dir, env=env, stdin=subprocess.DEVNULL,
                                        capture_output=True, text=True, timeout=480)
                self.assertEqual(result.returncode, 0, result.stderr)
                printed = iter(result.stdout.splitlines())
                for line in lines:  # in their order
                    if line.strip() != "…":
                        expected = words(line)
                        self.assertTrue(any(words(other)[:len(expected)] == expected for other in printed), f"{line}\n{result.stdout}")
                if not lines:
                    self.assertEqual(result.stdout, "")


if __name__ == "__main__":
    unittest.main()
