"""Hooks on the modules of PyTorch jobs: what is recorded is what the jobs say themselves, and nothing is left of them."""

import collections
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings

import torch
import torch._dynamo
from torch import nn

from records import Records

HERE = pathlib.Path(__file__).parent
JOBS = pathlib.Path(os.environ["DSOCR_SOURCE_DIR"]) / "tests/jobs"
LIBRARY = os.environ["DSOCR_PYTHON_SESSION"]
STAGES, ALL = 1, 2
NOT_YET, INSTALLED = 1, 2  # PythonState
DEADLINE_S = 60

sys.path.insert(0, str(JOBS))
session = ctypes.CDLL(LIBRARY)


class AttachedJob:
    """A job of tests/jobs that was attached to in the middle, `log` its own words."""

    def __init__(self, job, depth, start_s, seconds, *options):
        with tempfile.TemporaryDirectory() as directory:
            records = pathlib.Path(directory) / "records"
            command = [sys.executable, HERE / "attached_job.py", LIBRARY, str(depth), str(start_s), str(seconds), records, "--",
                       JOBS / job, "--log", *options]
            # Runs until it is told to end: however slow the machine is, the session is over before.
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                said = process.stderr.readline()
                output, errors = process.communicate()
            self.errors = errors
            self.returncode = process.returncode
            self.session = json.loads(said)
            self.log = json.loads(output.splitlines()[-1])
            self.records = Records(records.read_bytes())

    def compare(self):
        """How many operators of the job's log are there with their innermost module, how many are not, and the commonest of these."""
        root = self.records.modules[0].type
        first = min(operations[0].start for operations in self.records.operations.values())
        right, wrong = 0, collections.Counter()
        for time_ns, thread, name, module in self.log["operators"]:
            if not first <= time_ns <= self.session["end"]:
                continue
            operation = self.records.operation_at(thread, time_ns)
            expected = "" if module < 0 else self.log["modules"][module] or root
            if operation is not None and self.records.name_of(operation.path) == expected:
                right += 1
            else:
                wrong[(name, expected, operation and self.records.name_of(operation.path))] += 1
        return right, sum(wrong.values()), wrong.most_common(3)


class JobTest(unittest.TestCase):
    def check(self, job):
        self.assertEqual(job.returncode, 0, job.errors)
        self.assertEqual(job.session["state"], INSTALLED)
        self.assertEqual(job.session["removed"], 1)
        self.assertEqual(job.session["left"], 0)
        self.assertEqual(job.errors, "")

    def check_operators(self, job):
        self.check(job)
        right, wrong, examples = job.compare()
        self.assertGreater(right, 100)
        self.assertGreaterEqual(right, 99 * wrong, examples)

    def test_operators_of_a_toy_go_to_their_innermost_module(self):
        job = AttachedJob("toy_job.py", ALL, 0.1003, 2.0, "--callers", "3")
        self.check_operators(job)
        self.assertGreater(len(job.records.operations), 3)  # each thread that calls the model has ranges of its own

    def test_operators_of_a_deepseek_ocr_go_to_their_innermost_module(self):
        job = AttachedJob("deepseek_ocr_job.py", ALL, 0.0507, 3.0)
        self.check_operators(job)
        paths = [module.path for module in job.records.modules]
        self.assertEqual(paths, job.log["modules"])
        told = {module.path: module for module in job.records.modules}
        self.assertEqual(told["model.sam_model.blocks.0.attn.qkv"][1:], ("torch.nn.modules.linear.Linear", 0, (144, 48), 144 * 48 + 144))
        self.assertEqual(told["model.layers.1.mlp.experts.7.gate_proj"].shape, (48, 80))
        self.assertEqual(told[""].type, "__main__.DeepseekOCRForCausalLM")
        self.assertEqual(told["model"].parameters, 2 * 80)

    def test_operators_of_the_transformers_deepseek_ocr2_go_to_their_innermost_module(self):
        self.check_operators(AttachedJob("deepseek_ocr2_job.py", ALL, 0.2, 1.0))

    def test_stages_of_a_deepseek_ocr_are_where_its_parts_are(self):
        job = AttachedJob("deepseek_ocr_job.py", STAGES, 0.1, 1.5, "--new-tokens", "3")
        self.check(job)
        stages = {"__main__.DeepseekOCRForCausalLM", "lm_head", "model.embed_tokens", "model.norm", "model.sam_model",
                  "model.vision_model", "model.projector", "model.layers.0", "model.layers.1", "model.layers.2"}
        self.assertEqual({name for _, name, is_module in job.records.paths.values() if is_module}, stages)
        self.assertEqual(len(job.records.modules), len(job.log["modules"]))
        shapes = collections.defaultdict(set)
        for call in job.records.shapes:
            shapes[call.name].add(call.shape)
        self.assertEqual(shapes["model.sam_model"], {(2, 3, 64, 64), (1, 3, 128, 128)})
        self.assertEqual(shapes["model.layers.0"], {(1, 24, 80), (1, 1, 80)})
        self.assertEqual(shapes["__main__.DeepseekOCRForCausalLM"], {(1, 24), (1, 1)})


class Leaf(nn.Module):
    def forward(self, x):
        return torch.relu(x)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Leaf(), Leaf()

    def forward(self, x):
        return self.second(self.first(x))


class Session:
    """Attached to this process. The model is called on this thread while hooks go in, as a job would."""

    def __init__(self, model, data, depth=ALL):
        self.state = None
        worker = threading.Thread(target=self.attach, args=(depth,))
        worker.start()
        while worker.is_alive():
            model(data)
        model(data)

    def attach(self, depth):
        self.state = session.session_attach(depth, True)

    def detach(self, timeout_ms=10_000):
        self.removed = session.session_detach(timeout_ms)
        with tempfile.NamedTemporaryFile() as file:
            session.session_records(file.name.encode())
            self.records = Records(pathlib.Path(file.name).read_bytes())
        return self

    def operations(self):
        """Of this thread: (path, name)."""
        return [("/".join(self.records.chain(operation.path)), operation.name)
                for operation in self.records.operations[threading.get_native_id()]]


def hook_dictionaries(model):
    names = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs")
    return [len(getattr(module, name)) for module in model.modules() for name in names]


class HooksTest(unittest.TestCase):
    data = torch.zeros(2, 2)

    def test_calls_nest_as_they_were_made(self):
        root = "__main__.Pair"
        model = Pair()
        attached = Session(model, self.data)
        model(self.data)
        torch.neg(self.data)
        attached.detach()
        self.assertEqual((attached.state, attached.removed), (INSTALLED, 1))
        self.assertEqual(attached.operations()[-3:], [(f"{root}/first", "aten::relu"), (f"{root}/second", "aten::relu"), ("", "aten::neg")])
        self.assertEqual(set(hook_dictionaries(model)), {0})

    def test_the_first_call_after_an_attach_between_calls_tells_the_root(self):
        model = Pair()
        state = session.session_attach(ALL, True)
        model(self.data)
        attached = Session.__new__(Session).detach()
        self.assertEqual(state, INSTALLED)
        self.assertEqual(attached.operations(), [("__main__.Pair/first", "aten::relu"), ("__main__.Pair/second", "aten::relu")])
        self.assertFalse(bool(torch.nn.modules.module._has_any_global_hook()))

    def test_a_second_root_has_names_of_its_own(self):
        model, other = Pair(), nn.Sequential(Leaf())
        attached = Session(model, self.data)

        def is_told():
            other(self.data)
            return any(other[0]._forward_hooks.values())

        deadline = time.monotonic() + DEADLINE_S
        worker_stops = threading.Event()

        def polls():
            while not worker_stops.is_set():
                session.session_poll()
                time.sleep(0.001)

        worker = threading.Thread(target=polls)
        worker.start()
        while not is_told() and time.monotonic() < deadline:
            pass
        worker_stops.set()
        worker.join()
        other(self.data)
        attached.detach()
        sequential = "torch.nn.modules.container.Sequential"
        self.assertIn((f"{sequential}/{sequential}:0", "aten::relu"), attached.operations())
        self.assertEqual([module.root for module in attached.records.modules], [0, 0, 0, 1, 1])

    def test_an_exception_that_torch_does_not_catch_leaves_no_range_open(self):
        class Interrupted(nn.Module):
            def __init__(self):
                super().__init__()
                self.leaf = Leaf()
                self.interrupts = False

            def forward(self, x):
                x = self.leaf(x)
                if self.interrupts:
                    raise KeyboardInterrupt
                return x

        model = nn.Sequential(Interrupted())
        attached = Session(model, self.data)
        model[0].interrupts = True
        for _ in range(100):
            with self.assertRaises(KeyboardInterrupt):
                model(self.data)
        model[0].interrupts = False
        model(self.data)
        attached.detach()
        self.assertEqual(attached.operations()[-1], ("torch.nn.modules.container.Sequential/0/0.leaf", "aten::relu"))

    def test_what_refuses_hooks_is_left_alone(self):
        class Odd(nn.Module):
            def __getattr__(self, name):
                if name.startswith("_forward") or name == "training":
                    raise RuntimeError(name)
                return super().__getattr__(name)

            def named_parameters(self, *_):
                raise RuntimeError("no")

        class Mixed(nn.Module):
            def __init__(self):
                super().__init__()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # scripting is deprecated
                    self.scripted = torch.jit.script(Leaf())
                self.encoder = nn.TransformerEncoderLayer(2, 1, 4, batch_first=True)
                self.leaf = Leaf()
                self.odd = Odd()

            def forward(self, x):
                return self.leaf(self.encoder(self.scripted(x)))

        model = Mixed().eval()
        with torch.inference_mode():
            before = model(self.data)
            attached = Session(model, self.data)
            hooked = [name for name, module in model.named_modules() if module._forward_hooks]
            during = model(self.data)
        attached.detach()
        self.assertEqual(hooked, ["", "leaf", "odd"])
        self.assertTrue(torch.equal(before, during))

    def test_a_gil_that_is_never_given_delays_the_removal_alone(self):
        model = Pair()
        attached = Session(model, self.data)
        holding_the_gil = ctypes.PyDLL(LIBRARY)
        self.assertEqual(holding_the_gil.session_detach(20), 0)
        inert = model(self.data)
        self.assertTrue(torch.equal(inert, self.data))
        deadline = time.monotonic() + DEADLINE_S
        while any(hook_dictionaries(model)) and time.monotonic() < deadline:
            model(self.data)
        self.assertEqual(set(hook_dictionaries(model)), {0})
        attached.detach()

    def test_a_process_may_end_while_an_attach_waits_for_the_gil(self):
        script = """if True:
            import ctypes, sys, threading, time
            import torch
            session = ctypes.CDLL(sys.argv[1])
            threading.Thread(target=session.session_attach, args=(2, True), daemon=True).start()
            ctypes.PyDLL(None).usleep(100000)
            model = torch.nn.Identity()
            threading.Thread(target=lambda: [model(1) for _ in iter(int, 1)], daemon=True).start()
            threading.Thread(target=lambda: [session.session_poll() for _ in iter(int, 1)], daemon=True).start()
            time.sleep(0.05)
        """
        result = subprocess.run([sys.executable, "-c", script, LIBRARY], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_copies_made_meanwhile_work_afterwards(self):
        import copy

        model = Pair()
        attached = Session(model, self.data)
        twin = copy.deepcopy(model)
        attached.detach()
        self.assertTrue(torch.equal(twin(self.data), self.data))


    def test_a_model_compiled_since_is_no_second_root(self):
        model = Pair()
        attached = Session(model, self.data)
        compiled = torch.compile(model, backend="eager")
        compiled(self.data)
        thread = threading.Thread(target=lambda: [session.session_poll() or time.sleep(0.001) for _ in range(50)])
        thread.start()
        while thread.is_alive():
            compiled(self.data)
        attached.detach()
        torch._dynamo.reset()
        self.assertEqual(len(attached.records.modules), 3)
        self.assertEqual(attached.operations()[-1], ("__main__.Pair", "aten::relu"))


class CompiledTest(unittest.TestCase):
    """Compiled functions are compiled as often as without hooks, and compute the same."""

    def setUp(self):
        self.compiled = 0
        torch.manual_seed(0)
        self.data = torch.randn(4, 8)

    def tearDown(self):
        torch._dynamo.reset()

    def backend(self, graph, inputs):
        self.compiled += 1
        return graph.forward

    def model(self, breaks=False):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(2))

            def forward(self, x):
                x = self.layers[0](x)
                if breaks:
                    torch._dynamo.graph_break()
                return self.layers[1](x)

        return Net().eval()

    def call(self, function):
        with torch.inference_mode():
            return function(self.data)

    def compilations(self, model, compile_it):
        torch._dynamo.reset()
        self.compiled = 0
        function = compile_it(model)
        for _ in range(3):
            self.call(function)
        return self.compiled

    def check(self, model, compile_it):
        expected = self.call(model)
        expected_compilations = self.compilations(model, compile_it)
        for compiles_first in (True, False):
            torch._dynamo.reset()
            self.compiled = 0
            function = compile_it(model) if compiles_first else model
            self.call(function)
            attached = Session(lambda data: self.call(function), self.data)
            function = function if compiles_first else compile_it(model)
            during = [self.call(function) for _ in range(3)]
            attached.detach()
            after = [self.call(function) for _ in range(3)]
            self.assertEqual((attached.state, attached.removed), (INSTALLED, 1))
            self.assertEqual(self.compiled, expected_compilations)
            for result in during + after:
                self.assertTrue(torch.allclose(result, expected))
            self.assertEqual(set(hook_dictionaries(model)), {0})

    def test_of_a_whole_model(self):
        model = self.model()
        self.check(model, lambda module: torch.compile(module, backend=self.backend, fullgraph=True))

    def test_of_a_model_with_a_graph_break(self):
        model = self.model(breaks=True)
        self.check(model, lambda module: torch.compile(module, backend=self.backend))

    def test_of_layers(self):
        model = self.model()

        def compile_layers(module):
            return nn.Sequential(*(torch.compile(layer, backend=self.backend, fullgraph=True) for layer in module.layers))

        self.check(model, compile_layers)

    def test_of_modules_that_have_hooks_of_the_job(self):
        model = self.model()
        calls = []
        model.layers[0].register_forward_hook(lambda *_: calls.append(1) if not torch.compiler.is_compiling() else None)
        function = torch.compile(model, backend=self.backend)
        self.call(function)
        attached = Session(lambda data: self.call(function), self.data)
        self.call(function)
        attached.detach()
        self.call(function)
        self.assertEqual(self.compiled, 1)


if __name__ == "__main__":
    unittest.main()
