"""Both models through one door: image layout against a second implementation, and DeepSeek-OCR-2 from end to end."""

import concurrent.futures
import json
import math
import random
import unittest

from cli import SOURCE, CliTest

SECOND = ["--model-variant", "deepseek-ocr-v2"]


class Model:
    """The image side of a model, written from its description."""

    def __init__(self, variant, tile, most, tokens):
        self.variant, self.tile, self.most, self.tokens = variant, tile, most, tokens

    def grid(self, width, height):
        if width <= self.tile and height <= self.tile:
            return 1, 1
        sides = range(1, self.most + 1)
        candidates = sorted(((i, j) for i in sides for j in sides if 2 <= i * j <= self.most), key=lambda c: c[0] * c[1])
        best, least = None, math.inf
        for i, j in candidates:
            difference = abs(width / height - i / j)
            if difference < least or difference == least and width * height > 0.5 * self.tile * self.tile * i * j:
                best, least = (i, j), difference
        return best


def features_a_side(pixels):
    return math.ceil(math.ceil(pixels / 16 / 2) / 2)


def tokens_of_first(base, tile, wide, high):
    q, c = features_a_side(base), features_a_side(tile)
    crops = high * c * (wide * c + 1) if wide * high > 1 else 0
    return crops + q * (q + 1) + 1


def tokens_of_second(base, tile, wide, high):
    def queries(side):
        return 144 if features_a_side(side) ** 2 <= 144 else 256
    return (wide * high * queries(tile) if wide * high > 1 else 0) + queries(base) + 1


MODELS = [Model("deepseek-ocr-v1-base", 640, 9, tokens_of_first), Model("deepseek-ocr-v2", 768, 6, tokens_of_second)]


class Layout(CliTest):
    def describe(self, model, *args):
        return json.loads(self.ctl("workloads", "describe", "--model-variant", model.variant, *args, "-o", "json").stdout)

    def pages(self, model):
        chosen = random.Random(20251121)
        tile = model.tile
        pages = [(tile, tile), (tile + 1, tile), (tile, tile + 1), (1, tile), (1, 1025), (2000, 1), (2, 4000), (30000, 5965),
                 (5965, 30000), (178956, 1000), (1240, 1754), (1654, 2339), (800, 4000), (4000, 500)]
        # Halfway between two grids, where the page's area or the last bit of a division decides.
        for numerator, denominator in [(3, 4), (4, 3), (3, 2), (2, 3), (5, 6), (6, 5), (5, 2), (7, 2), (7, 12), (17, 12), (9, 2)]:
            pages += [(numerator * scale, denominator * scale) for scale in (60, 130, 215, 301, 500)]
        pages += [(chosen.randint(1, 5000), chosen.randint(3, 5000)) for _ in range(60)]
        pages += [(int(math.exp(chosen.uniform(3, 9))), int(math.exp(chosen.uniform(3, 9)))) for _ in range(60)]
        return pages

    def test_grids_and_tokens_of_any_page(self):
        for model in MODELS:
            def check(page, model=model):
                width, height = page
                layout = self.describe(model, "--page", f"{width}x{height}")
                wide, high = model.grid(width, height)
                tokens = model.tokens(1024, model.tile, wide, high)
                expected = {"crop_grid": [wide, high], "num_crops": wide * high if wide * high > 1 else 0, "image_tokens": tokens,
                            "seq_len_min": tokens + 1}
                return page, {key: layout[key] for key in expected}, expected
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                wrong = [result for result in pool.map(check, self.pages(model)) if result[1] != result[2]]
            self.assertEqual(wrong, [], model.variant)

    def test_tokens_of_any_view(self):
        for model in MODELS:
            for side in (16, 48, 512, 528, 640, 768, 784, 1024, 1040, 1280):
                single = self.describe(model, "--crop-mode", "0", "--image-size", side)
                self.assertEqual(single["image_tokens"], model.tokens(side, model.tile, 1, 1), (model.variant, side))
                crops = self.describe(model, "--base-size", side, "--page", "1000x3000")
                self.assertEqual(crops["image_tokens"], model.tokens(side, model.tile, *model.grid(1000, 3000)))


class SecondModel(CliTest):
    def test_analyze_equals_the_counter(self):
        golden = json.loads((SOURCE / "tests/golden/flops_ocr2_public.json").read_text(encoding="utf-8"))
        for case in golden["workloads"]:
            grid = case["crop_grid_wh"]
            page = f"{1000 * grid[0]}x{1000 * grid[1]}" if grid else "600x600"
            for step in case["decode"]:
                result = self.ctl("analyze", *SECOND, "--analytic-only", "--page", page, "--seq-len", case["seq_len"], "--context",
                                  step["context_len_in_cache"], "-o", "json")
                document = json.loads(result.stdout)
                stages = document["stages"]
                self.assertEqual(list(stages), ["sam", "encoder", "projector", "prefill", "decode"])
                for name in ("sam", "encoder", "projector"):
                    self.assertEqual(stages[name]["flops"], case["vision_total"][name])
                    self.assertEqual(stages[name]["params"], golden["params"][name])
                prefill = case["prefill"]
                self.assertEqual(stages["prefill"]["flops"], prefill["decoder"] + prefill["lm_head_last_position_only"])
                self.assertEqual(stages["decode"]["flops"], step["total"])
                self.assertEqual(document["total"]["params"], golden["params"]["total"])

    def test_a_report_is_complete_and_checks_out(self):
        report = json.loads(self.ctl("run", "--analytic-only", *SECOND, "--workload-profile-id", "dsocr-a4-v1", "-o", "json").stdout)
        self.assertEqual(report["model"]["model_id"], "deepseek-ai/DeepSeek-OCR-2")
        self.assertTrue(report["model"]["config_path"].endswith("/deepseek-ocr-v2.json"))
        self.assertEqual(report["workload"]["image_tokens"], 1121)
        golden = (SOURCE / "tests/golden/module_ids_ocr2.txt").read_text(encoding="utf-8").split()
        self.assertEqual([module["module_id"] for module in report["modules"]], golden)
        for form in ("json", "yaml", "markdown", "csv"):
            path = self.dir / f"report.{form}"
            self.ctl("export", report["report_id"], "--format", form, "--out", path)
            self.assertIn("vision/encoder", path.read_text(encoding="utf-8"))
        self.ctl("check", self.dir / "report.json")
        self.ctl("check", self.dir / "report.yaml")

    def test_every_part_of_a_prediction_has_a_module_and_a_category(self):
        for args in ([], SECOND):
            report = json.loads(self.ctl("run", "--analytic-only", *args, "-o", "json").stdout)
            leaves = {module["module_id"] for module in report["modules"] if not module["children"]}
            metrics = [entry for entry in report["module_metrics"] if entry["module_id"] in leaves]
            root = report["module_metrics"][0]
            self.assertAlmostEqual(sum(entry["total_time_ms"] for entry in metrics), root["total_time_ms"], places=6)
            self.assertAlmostEqual(sum(entry["total_flops_tflops"] for entry in metrics), root["total_flops_tflops"], places=9)
            categories = {part["category_id"]: part["time_ms"] for part in root["operator_breakdown"]}
            self.assertAlmostEqual(sum(categories.values()), root["total_time_ms"], places=6)
            self.assertLess(categories.get("other", 0), 0.01 * root["total_time_ms"])

    def test_it_is_never_run(self):
        self.assert_refused(2, "analytic only", self.ctl("run", *SECOND, check=False))

    def test_a_directory_says_which_model_it_is(self):
        directory = self.dir / "second"
        directory.mkdir()
        (directory / "config.json").write_text('{"architectures": ["DeepseekOCR2ForCausalLM"]}', encoding="utf-8")
        report = json.loads(self.ctl("run", "--analytic-only", "--model", directory, "-o", "json").stdout)
        self.assertEqual(report["model"]["model_variant"], "deepseek-ocr-v2")
        named = ["--model-variant", "deepseek-ocr-v1-base"]
        self.assert_refused(2, "deepseek-ocr-v2", self.ctl("run", "--analytic-only", *named, "--model", directory, check=False))

    def test_crops_have_the_models_tile(self):
        self.assert_refused(2, "image_size 640", self.ctl("analyze", *SECOND, "--image-size", "640", check=False))
        self.assert_refused(2, "image_size 768", self.ctl("analyze", "--image-size", "768", check=False))

    def test_models_lists_it(self):
        models = json.loads(self.ctl("models", "-o", "json").stdout)["models"]
        self.assertEqual([model["model_variant"] for model in models], ["deepseek-ocr-v1-base", "deepseek-ocr-v2"])
        self.assertIn("analytic only", models[1]["notes"])


if __name__ == "__main__":
    unittest.main()
