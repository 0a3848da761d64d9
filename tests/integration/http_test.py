"""HTTP as a client has it: documents, metrics, health, and the daemon's life around them."""

import http.client
import json
import pathlib
import signal
import socket
import unittest
import urllib.parse

from cli import CliTest, wait_until

RUN = "/analytic/deepseek-ocr/run"


class HttpDaemonTest(CliTest):
    """A daemon with HTTP on a free port."""

    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = cls.start_daemon(*cls.FLAGS)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        cls.daemon.communicate(timeout=20)
        super().tearDownClass()

    @classmethod
    def start_daemon(cls, *flags):
        daemon = cls.start("dsocrd", "--http", "0", *flags)
        wait_until(lambda: daemon.poll() is not None or cls.daemon_pid(), "the daemon to serve")
        listen = json.loads(cls.ctl("--no-start", "status", "-o", "json").stdout)["listen"]
        cls.url = next(address for address in listen if address.startswith("http://"))
        return daemon

    @classmethod
    def ask(cls, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(urllib.parse.urlparse(cls.url).netloc, timeout=20)
        try:
            given = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body=body, headers=given | (headers or {}))
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    @classmethod
    def json(cls, method, path, document=None):
        response, body = cls.ask(method, path, None if document is None else json.dumps(document))
        return response.status, json.loads(body)


class Documents(HttpDaemonTest):
    def test_a_report_is_the_same_over_http_and_on_the_command_line(self):
        status, accepted = self.json("POST", RUN, {"workload_profile_id": "dsocr-tiny-v1", "device": "h200-sxm"})
        self.assertEqual(status, 202)
        self.assertEqual(accepted | {"report_id": "r"}, {"report_id": "r", "status": "running", "reused": False})
        report_id = accepted["report_id"]
        _, body = self.ask("GET", f"/analytic/deepseek-ocr/{report_id}/summary")
        self.assertEqual(body.decode(), self.ctl("summary", report_id, "-o", "json").stdout)
        status, model = self.json("GET", f"/analytic/deepseek-ocr/{report_id}/model")
        self.assertEqual(status, 200)
        report = json.loads(self.ctl("model", report_id, "-o", "json").stdout)
        self.assertEqual(model, {key: report[key] for key in model})

    def test_an_equal_request_finds_its_report_again(self):
        request = {"workload_profile_id": "dsocr-base-v1", "device": "l4"}
        first = self.json("POST", RUN, request)[1]
        second = self.json("POST", RUN, request)[1]
        self.assertEqual((second["report_id"], second["reused"]), (first["report_id"], True))
        self.assertFalse(self.json("POST", RUN, request | {"force_rebuild": True})[1]["reused"])

    def test_artifacts_go_to_the_daemons_own_directory(self):
        elsewhere = self.dir / "elsewhere"
        status, accepted = self.json("POST", RUN, {"device": "cpu", "artifacts_root": str(elsewhere), "run_id": "named"})
        self.assertEqual((status, accepted["report_id"]), (202, "named"))
        self.assertFalse(elsewhere.exists())
        self.assertTrue((self.dir / "state/dsocr/profile-output/named").is_dir())

    def test_errors_have_a_code_a_line_and_a_reason(self):
        self.json("POST", RUN, {"run_id": "taken"})
        for status, reason, fragment, document in (
                (400, "INVALID_ARGUMENT", "workload.seqlen", {"workload": {"seqlen": 1}}),
                (400, "INVALID_ARGUMENT", "base_size -16", {"workload": {"base_size": -16}}),
                (400, "INVALID_ARGUMENT", "crop_mode", {"workload": {"crop_mode": 2}}),
                (404, "NOT_FOUND", "dsocr-tiny-v1", {"workload_profile_id": "dsocr-tinny-v1"}),
                (409, "INVALID_ARGUMENT", "seq_len 10", {"workload": {"seq_len": 10}}),
                (409, "ALREADY_EXISTS", "taken", {"run_id": "taken"})):
            answered, body = self.json("POST", RUN, document)
            self.assertEqual((answered, body["error"]["code"], body["error"]["reason"]), (status, status, reason), body)
            self.assertIn(fragment, body["error"]["message"])
            self.assertNotIn("\n", body["error"]["message"])
        self.assertEqual(self.json("GET", "/analytic/deepseek-ocr/r-none/summary")[0], 404)
        self.assertEqual(self.ask("POST", RUN, "{}", {"Content-Type": "text/plain"})[0].status, 415)
        response, _ = self.ask("PUT", RUN, "{}")
        self.assertEqual((response.status, response.getheader("Allow")), (405, "POST"))

    def test_a_page_of_another_site_gets_nothing(self):
        self.assertEqual(self.ask("GET", "/healthz", headers={"Host": "evil.example"})[0].status, 403)
        response, _ = self.ask("OPTIONS", RUN, headers={"Origin": "http://evil.example"})
        self.assertEqual(response.status, 405)
        self.assertFalse([name for name, _ in response.getheaders() if name.lower().startswith("access-control")])

    def test_metrics_count_calls_of_both_transports(self):
        self.ctl("list", "-o", "json")
        self.ask("GET", "/healthz")
        samples = self.samples()
        self.assertGreaterEqual(samples['dsocrd_calls_total{transport="http",method="GET /healthz",code="200"}'], 1)
        self.assertGreaterEqual(
            samples['dsocrd_calls_total{transport="grpc",method="dsocr.v1.AnalyticService/ListReports",code="OK"}'], 1)
        self.assertGreater(samples["process_resident_memory_bytes"], 1e6)
        self.assertEqual(samples['dsocrd_runs_finished_total{state="done"}'], 0)

    def test_connections_are_counted_while_they_are_open(self):
        # The daemon learns of a closed connection a moment after its client does.
        wait_until(lambda: self.samples()["dsocrd_http_connections"] == 1, "the connection that asks to be the only one")
        with socket.create_connection(urllib.parse.urlparse(self.url).netloc.split(":")):
            wait_until(lambda: self.samples()["dsocrd_http_connections"] == 2, "a second connection to be counted")
        wait_until(lambda: self.samples()["dsocrd_http_connections"] == 1, "its end to be noticed")

    def samples(self):
        response, body = self.ask("GET", "/metrics")
        self.assertTrue(response.getheader("Content-Type").startswith("text/plain; version=0.0.4"))
        samples = {}
        for line in body.decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                self.assertNotIn(name, samples)
                samples[name] = float(value)
        return samples


class Life(HttpDaemonTest):
    FLAGS = ("--idle-exit", "3s")

    def test_requests_keep_the_daemon_and_silence_ends_it(self):
        idle_client = socket.create_connection(urllib.parse.urlparse(self.url).netloc.split(":"))
        wait_until(lambda: self.ask("GET", "/healthz")[0].status == 200 and self.uptime() > 5, "5 s of requests", 60)
        self.assertIsNone(self.daemon.poll())
        self.daemon.wait(timeout=20)  # an open connection that asks nothing does not keep it
        self.assertEqual(self.daemon.returncode, 0)
        self.assertEqual(idle_client.recv(1), b"")
        idle_client.close()

    def uptime(self):
        metrics = self.ask("GET", "/metrics")[1].decode()
        return float(next(line for line in metrics.splitlines() if line.startswith("dsocrd_uptime_seconds ")).split()[1])


class Refusals(CliTest):
    def test_an_address_outside_loopback_needs_tls(self):
        for address in ("0.0.0.0:0", "[::]:0", "example.com:80"):
            result = self.program("dsocrd", "--http", address, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn("needs TLS", result.stderr)

    def test_a_port_that_is_taken_is_said(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = self.program("dsocrd", "--http", taken.getsockname()[1], check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot be served", result.stderr)

    def test_http_is_off_unless_asked_for(self):
        daemon = self.start("dsocrd")
        try:
            wait_until(self.daemon_pid, "the daemon to serve")
            sockets = [line.split() for line in pathlib.Path(f"/proc/{daemon.pid}/net/tcp").read_text().splitlines()[1:]]
            inodes = {link.readlink().name for link in pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir()}
            self.assertFalse([s for s in sockets if f"socket:[{s[9]}]" in inodes])
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate(timeout=20)


if __name__ == "__main__":
    unittest.main()
