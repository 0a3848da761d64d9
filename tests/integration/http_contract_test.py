"""The OpenAPI document, held against the running daemon by a tester that knows nothing of us: schemathesis, all checks."""

import os
import subprocess
import unittest

from http_test import HttpDaemonTest

SCHEMATHESIS = os.environ["DSOCR_SCHEMATHESIS"]
EXAMPLES = 50  # requests an endpoint and phase; 100 is the tool's own choice
SEED = 20261121  # a failure is one that everybody sees


class Contract(HttpDaemonTest):
    def test_every_response_is_what_the_document_says(self):
        result = subprocess.run(
            [SCHEMATHESIS, "run", f"{self.url}/openapi.json", "--checks", "all", "--max-examples", str(EXAMPLES),
             "--seed", str(SEED), "--no-color"],
            cwd=self.dir, env=self.env, capture_output=True, text=True, timeout=240)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIsNone(self.daemon.poll())


if __name__ == "__main__":
    unittest.main()
