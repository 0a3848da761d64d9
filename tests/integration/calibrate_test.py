"""calibrate through the real programs: a generated table fitted and judged, splits, hostile files, this machine's CPU."""

import gzip
import hashlib
import json
import random
import shutil
import unittest

from cli import FIXTURES, CliTest, TINY

SIZES = {"gemm": ["m", "n", "k"], "attention": ["batch", "seq_q", "seq_kv", "heads", "kv_heads", "head_dim", "causal"],
         "moe": ["tokens", "hidden", "intermediate", "topk", "experts", "routing"]}
COLUMNS = ["op", "device", "dtype"] + [name for names in SIZES.values() for name in names] + ["time_us"]
PEAK = 400e6       # FLOP per us
BANDWIDTH = 2.5e6  # bytes per us
FLOOR = 3.0        # us


def time_us(row):
    """The law of the made-up device: a floor, and a soft maximum of arithmetic and traffic."""
    if row["op"] == "gemm":
        m, n, k = row["m"], row["n"], row["k"]
        flops, values = 2 * m * n * k, m * k + n * k + m * n
    elif row["op"] == "attention":
        b, q, h, d = row["batch"], row["seq_q"], row["heads"], row["head_dim"]
        flops, values = 4 * b * q * q * h * d / (1 + row["causal"]), 4 * b * q * h * d
    else:
        t, h, i = row["tokens"], row["hidden"], row["intermediate"]
        flops, values = 6 * t * row["topk"] * h * i, 3 * min(row["experts"], t * row["topk"]) * h * i
    return FLOOR + (max(flops / PEAK, 2 * values / BANDWIDTH) / 0.8)


def make_rows(seed, device="Made-up GPU"):
    chance = random.Random(seed)
    rows = {}
    def add(op, **sizes):
        row = {"op": op, "device": device, "dtype": "bf16", **sizes}
        rows[json.dumps(row)] = row | {"time_us": round(time_us(row) * chance.uniform(0.97, 1.03), 3)}
    for _ in range(300):
        add("gemm", m=2 ** chance.randrange(13), n=64 * chance.randrange(1, 128), k=128 * chance.randrange(1, 64))
    for _ in range(80):
        length = 2 ** chance.randrange(6, 13)
        add("attention", batch=chance.choice([1, 2, 4]), seq_q=length, seq_kv=length, heads=16, kv_heads=16, head_dim=chance.choice([64, 128]),
            causal=chance.randrange(2))
    for _ in range(40):
        add("moe", tokens=2 ** chance.randrange(12), hidden=2048, intermediate=chance.choice([512, 1024]), topk=chance.choice([2, 6]), experts=64,
            routing="balanced")
    return list(rows.values())


def to_csv(rows, columns=COLUMNS):
    return "\n".join([",".join(columns)] + [",".join(str(row.get(name, "")) for name in columns) for row in rows]) + "\n"


class Calibrate(CliTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = make_rows(1)
        cls.table = cls.dir / "table.csv"
        cls.table.write_text(to_csv(cls.rows))

    def fit(self, out, *args, table=None):
        result = self.ctl("calibrate", "fit", "--table", table or self.table, "--out", out, "--force", "-o", "json", *args)
        return json.loads(result.stdout)

    def eval(self, calibration, *args, table=None):
        result = self.ctl("calibrate", "eval", "--table", table or self.table, "--calibration", calibration, "-o", "json", *args)
        return json.loads(result.stdout)

    def refused(self, code, fragment, *args):
        self.assert_refused(code, fragment, self.ctl("calibrate", *args, check=False))

    def test_a_table_is_fitted_and_judged(self):
        summary = self.fit("c.json", "--points", "200", "--seed", "3", "--split", "s.json")
        self.assertEqual((summary["rows"], summary["table_rows"], summary["seed"]), (200, len(self.rows), 3))
        self.assertEqual(summary["profile"], "estimated")
        answer = self.eval("c.json", "--split", "s.json")
        self.assertEqual(answer["scored_rows"] + answer["seen_rows"], len(self.rows))
        self.assertEqual(answer["calibration_sha256"], summary["rows_sha256"])
        self.assertLessEqual({"gemm", "attention", "moe", "gemm_wide", "gemm_skinny", "attention_encoder", "attention_prefill"}, set(answer["classes"]))
        self.assertEqual(sum(answer["classes"][op]["n"] for op in SIZES), answer["scored_rows"])
        for score in answer["classes"].values():
            self.assertLessEqual({"n", "mape", "median_ape", "p90_ape", "wape", "bias", "coverage_90", "width_90", "baselines"}, set(score))
            self.assertIsNone(score["baselines"]["roofline"])
            self.assertGreater(score["baselines"]["nearest"]["mape"], 0)
        gemm = answer["classes"]["gemm"]
        self.assertLess(gemm["mape"], gemm["baselines"]["nearest"]["mape"])

    def test_the_digest_is_that_of_the_rows(self):
        """The recipe of docs/calibration.md, in another language."""
        lines = [",".join([row["op"], row["dtype"], *(str(row[name]) for name in SIZES[row["op"]]), repr(row["time_us"] * 1000).removesuffix(".0")])
                 for row in self.rows]
        digest = hashlib.sha256("".join(line + "\n" for line in sorted(lines)).encode()).hexdigest()
        self.assertEqual(self.fit("c.json")["rows_sha256"], digest)

    def test_a_study_can_be_made_again(self):
        for name in ("a", "b"):
            self.fit(f"{name}.json", "--points", "60", "--seed", "1", "--op", "gemm", "--split", f"{name}.split")
        shuffled = self.dir / "shuffled.csv.gz"
        shuffled.write_bytes(gzip.compress(to_csv(random.Random(2).sample(self.rows, len(self.rows)), sorted(COLUMNS)).encode()))
        self.fit("c.json", "--points", "60", "--seed", "1", "--op", "gemm", "--split", "c.split", table=shuffled)
        read = lambda name: (self.dir / name).read_bytes()
        self.assertEqual(read("a.json"), read("b.json"))
        self.assertEqual(read("a.json"), read("c.json"))
        self.assertEqual(read("a.split"), read("c.split"))
        self.assertTrue(all(row.startswith("gemm,") for row in json.loads(read("a.split"))["rows"]))
        self.assertEqual(self.eval("a.json", "--op", "gemm", "--split", "a.split"), self.eval("c.json", "--op", "gemm", table=shuffled))
        self.fit("d.json", "--points", "60", "--seed", "2", "--op", "gemm")
        self.assertNotEqual(read("a.json"), read("d.json"))

    def test_a_device_profile_serves_the_baselines_and_a_transfer(self):
        (self.dir / "p.yaml").write_text("name: Made-up\npeak_bf16_tflops: 400\nmemory_bandwidth_gbs: 2500\n")
        self.assertEqual(self.fit("c.json", "--points", "100", "--device-profile", "p.yaml")["profile"], "file")
        answer = self.eval("c.json", "--device-profile", "p.yaml")
        self.assertFalse(answer["is_transfer"])
        self.assertLess(answer["classes"]["gemm"]["baselines"]["floor_0_8"]["mape"], answer["classes"]["gemm"]["baselines"]["roofline"]["mape"])
        transfer = self.eval("c.json", "--device-profile", "l4")
        self.assertTrue(transfer["is_transfer"])
        self.assertEqual((transfer["device"], transfer["scored_rows"]), ("l4", len(self.rows)))

    def test_people_get_tables(self):
        self.fit("c.json", "--points", "100")
        text = self.ctl("calibrate", "eval", "--table", self.table, "--calibration", "c.json").stdout
        self.assertIn("CLASS", text)
        self.assertRegex(text, r"gemm_skinny +\d+ +\d+\.\d %")
        self.assertIn("HELD OUT", self.ctl("calibrate", "fit", "--table", self.table, "--out", "people.json").stdout)

    def test_hostile_files_are_named(self):
        self.fit("c.json", "--points", "50", "--split", "s.json")
        write = lambda name, text: (self.dir / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        head, first, *rest = to_csv(self.rows).splitlines()
        write("zero.csv", "\n".join([head, first, first.replace(first.split(",")[3], "0", 1)]))
        write("cut.csv.gz", gzip.compress(to_csv(self.rows).encode())[:-20])
        write("binary.csv", bytes(range(256)))
        write("empty.csv", "")
        write("bomb.csv.gz", gzip.compress(b"," * (65 << 20)))
        for name, fragment in (("zero.csv", "table 'zero.csv': line 3"), ("cut.csv.gz", "cut off"), ("binary.csv", "not UTF-8"),
                               ("empty.csv", "it is empty"), ("bomb.csv.gz", "unpacks to more than"), ("none.csv", "none.csv")):
            self.refused(2, fragment, "fit", "--table", name, "--out", "x.json", "--force")
            self.refused(2, fragment, "eval", "--table", name, "--calibration", "c.json")
        text = (self.dir / "c.json").read_text()
        write("cut.json", text[:len(text) // 2])
        write("more.json", text.replace("{\n", "{\n\"more\": 1,\n", 1))
        self.refused(2, "calibration 'cut.json'", "eval", "--table", self.table, "--calibration", "cut.json")
        self.refused(2, "more: unknown key", "eval", "--table", self.table, "--calibration", "more.json")
        self.refused(2, "kind", "eval", "--table", self.table, "--calibration", "s.json")
        write("other.csv", to_csv(make_rows(9)))
        self.refused(2, "is it of another one", "eval", "--table", "other.csv", "--calibration", "c.json", "--split", "s.json")
        self.refused(2, "points: 9999: the table has", "fit", "--table", self.table, "--points", "9999", "--out", "x.json")
        self.refused(3, "h100-sxm", "fit", "--table", self.table, "--device-profile", "h100-sxn", "--out", "x.json")
        self.refused(2, "give --force", "fit", "--table", self.table, "--out", "c.json")
        write("p.json", "{\"name\": 7}")
        self.refused(2, "device profile 'p.json'", "fit", "--table", self.table, "--device-profile", "p.json", "--out", "x.json")
        self.assertFalse((self.dir / "x.json").exists())

    def test_a_measured_run_becomes_points(self):
        self.ctl("run", *TINY, "--calibration", "none")
        add = lambda *args: self.ctl("calibrate", "--device", "cpu", "--dtype", "fp32", "--run", "latest", "-o", "json", *args)
        measured = add("--budget", "1s")
        self.assertIn("measuring", measured.stderr)
        first = json.loads(measured.stdout)
        self.assertGreater(first["points"], 50)
        self.assertEqual(sum(category["points"] for category in first["categories"]), first["points"])
        self.assertRegex(first["torch_version"], r"^\d+\.\d+")
        added = add()
        self.assertNotIn("measuring", added.stderr)
        self.assertEqual(json.loads(added.stdout)["points"], first["points"])
        self.refused(1, "its dtype is 'fp32'", "--device", "cpu", "--dtype", "bf16", "--run", "latest")
        self.ctl("run", *TINY, "--analytic-only")
        self.refused(1, "no measurement", "--device", "cpu", "--run", "latest")

    def test_a_run_is_predicted_by_the_routing_that_one_before_it_recorded(self):
        def experts_of(report):
            of = lambda entries: {entry["module_id"]: entry["launches"] for entry in entries if entry["module_id"].endswith("/moe/experts")}
            return of(report["module_metrics"]), of(report["module_measurements"])
        run = lambda *args: json.loads(self.ctl("run", *args, "-o", "json").stdout)
        first = run(*TINY, "--calibration", "none")
        self.assertNotIn("routing", first["notes"])
        talk = self.ctl("calibrate", "--device", "cpu", "--dtype", "fp32", "--run", first["report_id"], "--budget", "1s", "-o", "json")
        self.assertIn("its routing of experts is kept", talk.stderr)
        calibration = json.loads(talk.stdout)["calibration_id"]
        second = run(*TINY)
        self.assertEqual(second["provenance"]["calibration_id"], calibration)
        self.assertIn(f"routed experts by the routing of run {first['report_id']}", second["notes"])
        predicted, measured = experts_of(second)
        self.assertEqual(predicted, measured)  # the same tokens pick the same experts
        answer = json.loads(self.ctl("what-if", second["report_id"], "-o", "json").stdout)
        self.assertEqual(answer["notes"], [])
        self.assertEqual(answer["baseline"]["total_time_ms"], second["predicted_total_time_ms"])
        copy = shutil.copytree(FIXTURES / "tiny_a", self.dir / "copy")
        large_view = ["--base-size", "320", "--image-size", "320", "--crop-mode", "0", "--page", "400x300", "--seq-len", "301", "--dtype", "fp32"]
        for args, why in ((["--model", FIXTURES / "tiny_b", *large_view], "experts"), (["--model", copy, *TINY[2:]], "weights")):
            other = run(*args, "--analytic-only", "--device", "cpu", "--calibration", calibration)
            self.assertIn(f"the routing of run {first['report_id']} is not used: it is of other {why}", other["notes"])

    def test_devices_that_are_not_here(self):
        self.refused(1, "device 'l4': not on this machine", "--device", "l4")
        self.refused(3, "cuda:99", "--device", "cuda:99")


if __name__ == "__main__":
    unittest.main()
