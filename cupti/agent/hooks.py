"""Hooks on the modules of a PyTorch job. Part of the agent, which runs this text in a namespace of its own, under the GIL.

The agent puts these names in before: `stages_only`, and its functions `tell`, `add`, `enter`, `leave`, `enter_after`, `leave_after`,
`plain`, `shape`, `adopt`, `ending`, `under_way` and `live` (python_hooks.cc says what they do). It calls `install`, then `poll` from time to time, and `remove`; the rest is called
by the job. A module that has hooks has a number; the job's objects are held by weak references alone.

The text is compiled under a file name beside torch.nn's own, because that is how Dynamo treats such functions as it treats Module's: one that
a compiled function calls is traced through (and finds that it has nothing to do), one that is called between compiled regions runs as it is.
"""

import dis
import sys
import weakref
from _thread import get_ident as current_thread

import torch

if not getattr(sys, "_is_gil_enabled", lambda: True)():
    raise NotImplementedError("what is seen of other threads is true only while they wait for the GIL")

Module = torch.nn.Module
CALL = Module._call_impl.__code__
# Where a call that no hook is to follow is in its forward: `return forward_call(*args, **kwargs)`. `kwargs` has been copied by then, and
# nobody looks at it any more.
steps = list(dis.get_instructions(CALL))
IN_FORWARD = {call.offset for merge, call, end in zip(steps, steps[1:], steps[2:])
              if (merge.opname, call.opname, end.opname) == ("DICT_MERGE", "CALL_FUNCTION_EX", "RETURN_VALUE")}
is_compiling = torch.compiler.is_compiling
is_dynamo_compiling = torch.compiler.is_dynamo_compiling  # cheaper; in an export without Dynamo a function mode is active
function_modes = torch._C._len_torch_function_stack
plain(torch.Tensor, torch.nn.Parameter)
getframe = sys._getframe

# Where the parts of a DeepSeek-OCR are, as published, in transformers and in vLLM: what a stage may lie in, and what tells one.
CONTAINERS = {"model", "language_model", "vision_tower", "module"}
SIGNS = {"sam_model", "sam_encoder"}
MAX_TRIES = 5

known = {}  # id -> weak reference: every module of a root
hooked = {}  # id -> Hooked
roots = 0
root_types = {}  # class -> how many roots are of it
is_removed = False
waiting = None  # the handle of the global hook that waits for the first root
dynamo = None  # its compilation callbacks, once it is there


class Hooked:
    __slots__ = ("module", "number", "is_stage", "handles")

    def __init__(self, module, number, is_stage):
        self.module = weakref.ref(module)
        self.number = number
        self.is_stage = is_stage
        self.handles = []

    def put_in(self):
        module = self.module()
        if is_removed or module is None or self.handles or (uses_dynamo() and (module._forward_hooks or module._forward_pre_hooks)):
            return  # compiled code that depends on how many hooks the job itself has there would be compiled again
        before, after = (stage_hooks if self.is_stage else plain_hooks)(self.number)
        self.handles.append(module.register_forward_pre_hook(before, with_kwargs=self.is_stage))
        self.handles.append(module.register_forward_hook(after, always_call=True))
        if is_removed:  # meanwhile, on another thread
            self.take_out()

    def take_out(self):
        while self.handles:
            self.handles.pop().remove()


def plain_hooks(number):
    def before(module, args):
        if not is_dynamo_compiling() and enter(number):
            enter_after(number, open_calls(getframe(1)) - 1)

    def after(module, args, result):
        if not is_dynamo_compiling() and leave(number):
            leave_after(number, open_calls(getframe(1)))

    return before, after


def stage_hooks(number):
    def before(module, args, kwargs):
        if is_dynamo_compiling():
            return
        if enter(number):
            enter_after(number, open_calls(getframe(1)) - 1)
        if not function_modes() and not shape(args):  # a job's mode would see the question
            shape(tuple(kwargs.values()))

    return before, plain_hooks(number)[1]


def entry_of(module):
    entry = hooked.get(id(module))
    return entry if entry is not None and entry.module() is module else None


def is_known(module):
    reference = known.get(id(module))
    return reference is not None and reference() is module


def inside(module):
    """Of what torch.compile returned, the job's own module. The hooks are on the outside, which alone is always called; all else is told of
    the inside."""
    return module._modules.get("_orig_mod", module)


def open_modules(frame):
    """Whose forward the frames are in, innermost first."""
    while frame is not None:
        if frame.f_code is CALL:
            module = frame.f_locals.get("self")
            if module is not None:
                yield module
        frame = frame.f_back


def open_calls(frame):
    return sum(entry_of(module) is not None for module in open_modules(frame))


def type_name(module):
    kind = type(inside(module))
    return f"{kind.__module__}.{kind.__qualname__}"


def root_name(root):
    """The class; of the second root of a class, with ~2."""
    name = type_name(root)
    root_types[name] = root_types.get(name, 0) + 1
    return name if root_types[name] == 1 else f"{name}~{root_types[name]}"


def named_modules(root):
    """(path, module) of all, the root's path empty; a module that has several paths is named by the first."""
    for path, module in root.named_modules():
        if path.rpartition(".")[2] != "_orig_mod":
            yield ".".join(part for part in path.split(".") if part != "_orig_mod"), module


def children(module):
    """(name, child); a list stands for its elements, because nobody calls the list itself."""
    for name, child in inside(module)._modules.items():
        if isinstance(child, (torch.nn.ModuleList, torch.nn.ModuleDict)):
            yield from children(child)
        elif child is not None:
            yield name, child


def stages(module, opens_containers):
    for name, child in children(module):
        if opens_containers and name in CONTAINERS:
            yield from stages(child, True)
        else:
            yield child


def refused(module):
    """What must have no hooks: scripted modules, and the layers that choose another kernel when a hook is anywhere inside them."""
    return isinstance(module, (torch.jit.ScriptModule, torch.nn.TransformerEncoderLayer))


def tell_module(root, path, module):
    parameters = inside(module)._parameters
    own = [parameter.shape for parameter in parameters.values() if parameter is not None]
    weight = parameters.get("weight")
    sizes, element_bytes = (weight.shape, weight.dtype.itemsize) if weight is not None else ((), 0)
    tell(root, path, type_name(module), sizes, sum(size.numel() for size in own), element_bytes)


def add_root(root):
    """Names all modules below, and puts hooks on those that are wanted."""
    global roots
    if is_known(inside(root)):  # it was compiled since: its calls come to its hooks all the same
        known[id(root)] = weakref.ref(root)
        return
    number, name = roots, root_name(root)
    prefix = "" if number == 0 else name + ":"
    roots += 1
    named = list(named_modules(root))
    stage_ids = {id(root)}
    stage_ids.update(map(id, stages(root, any(path.rpartition(".")[2] in SIGNS for path, _ in named))))
    left_alone = set()
    for path, module in named:
        if is_removed:
            return
        if is_known(module):
            continue
        try:
            known[id(module)] = weakref.ref(module)
            tell_module(number, path, module)
            if refused(inside(module)):
                left_alone.update(map(id, module.modules()))
            is_stage = id(module) in stage_ids
            if id(module) in left_alone or (stages_only and not is_stage):
                continue
            entry = Hooked(module, add(prefix + path if path else name, module is root), is_stage)
            hooked[id(module)] = entry
            entry.put_in()
        except Exception:
            pass  # odd modules have odd attributes; this one stays without hooks


def outermost(frame):
    """The outermost module that the frames are in a call of, or that of which a method called it: vLLM calls its towers, its embedding and its
    logits from outside of the model's forward."""
    module = call = None
    while frame is not None:
        if frame.f_code is CALL and frame.f_locals.get("self") is not None:
            module, call = frame.f_locals["self"], frame
        frame = frame.f_back
    caller = call.f_back if call is not None else None
    # No further than methods of modules: to look into a frame keeps its locals alive for as long as it lives.
    while caller is not None and caller.f_code.co_varnames[:1] == ("self",):
        owner = caller.f_locals.get("self")
        if not isinstance(owner, Module):
            break
        if owner is not module and any(part is module for part in owner.modules()):
            module = owner
        caller = caller.f_back
    return module


def frames_of_others():
    frames = sys._current_frames()
    frames.pop(current_thread(), None)
    return frames


def add_new_roots():
    before = roots
    for frame in frames_of_others().values():
        root = outermost(frame)
        if root is not None and not is_known(root):
            add_root(root)
    return roots > before


def numbers_under_way(frame):
    numbers = []
    while frame is not None:
        if frame.f_code is CALL:
            values = frame.f_locals
            entry = entry_of(values.get("self"))
            if entry is not None:
                numbers.append(entry.number)
                if frame.f_lasti in IN_FORWARD:
                    values["kwargs"].setdefault("dsocr", ending(entry.number))  # goes when the call ends
        frame = frame.f_back
    return numbers[::-1]


def calls_under_way():
    """Of each thread: its identifier and the numbers of the modules that it is inside of, outermost first."""
    for _ in range(MAX_TRIES):
        frames = frames_of_others()
        places = {thread: (frame, frame.f_lasti) for thread, frame in frames.items()}
        calls = [(thread, *numbers_under_way(frame)) for thread, frame in frames.items()]
        now = frames_of_others()
        if all(now.get(thread) is frame and frame.f_lasti == place for thread, (frame, place) in places.items()):
            break  # nobody ran meanwhile: what was seen is still true
    return tuple(calls)


def wait_for_root():
    """Where no thread is inside of a module: the next one to be called tells the root."""
    global waiting

    def found(module, args):
        if is_compiling():
            return
        stop_waiting()
        if not is_removed:
            frame = getframe(1)
            add_root(outermost(frame))
            numbers = [entry.number for entry in map(entry_of, open_modules(frame)) if entry is not None]
            for number in reversed(numbers):
                adopt(number)
            while frame is not None and frame.f_code is not CALL:
                frame = frame.f_back
            if frame is not None and len(numbers) == 1 and not function_modes():
                shape((*args, *frame.f_locals.get("kwargs", {}).values()))  # its own hooks come too late for this call

    waiting = torch.nn.modules.module.register_module_forward_pre_hook(found)


def stop_waiting():
    global waiting
    if waiting is not None:
        waiting.remove()
        waiting = None


def take_out_all(*_):
    stop_waiting()
    for entry in list(hooked.values()):
        entry.take_out()


def put_in_all(*_):
    for entry in list(hooked.values()):
        try:
            entry.put_in()
        except Exception:
            pass  # as in add_root


def follow_dynamo():
    """While a function is compiled no module has hooks of ours: what comes out is what would have come out without us."""
    global dynamo
    handler = getattr(sys.modules.get("torch._dynamo.callback"), "callback_handler", None)
    if dynamo is None and handler is not None:
        handler.register_start_callback(take_out_all)
        handler.register_end_callback(put_in_all)
        dynamo = handler
    if uses_dynamo():
        stop_waiting()  # compiled code does depend on global hooks, and torch warns of them


def uses_dynamo():
    return bool(getattr(sys.modules.get("torch._dynamo.eval_frame"), "cached_backends", None))


def is_being_compiled():
    return getattr(dynamo, "_CompilationCallbackHandler__pending_callbacks_counter", 0) > 0


def install():
    follow_dynamo()
    if not is_being_compiled():
        add_new_roots()


def go():
    """The short part of an installation, after which calls are recorded."""
    if not hooked and not uses_dynamo():
        wait_for_root()
    live(calls_under_way())


def poll():
    follow_dynamo()
    if not is_being_compiled() and add_new_roots():
        under_way(calls_under_way())


def remove():
    global is_removed
    is_removed = True
    take_out_all()
    if dynamo is not None:
        dynamo.remove_start_callback(take_out_all)
        dynamo.remove_end_callback(put_in_all)
    known.clear()
    hooked.clear()
