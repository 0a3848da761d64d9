"""A client of CUPTI that keeps its buffers as they come, and beside them where each record lies and which kernel it names: the names
are pointers, which mean nothing in a file."""

import ctypes


class ActivityBuffers:
    """One recording; CUPTI's callbacks come from a thread of its own. An address that was lent stays so to the end of the process."""

    KINDS = {"memcpy": 1, "memset": 2, "runtime": 5, "concurrent_kernel": 10, "overhead": 17, "synchronization": 38}
    KERNEL, NAME_OFFSET = 10, 104  # CUpti_ActivityKernel9 and 10
    BYTES = 256 << 10

    def __init__(self, library="libcupti.so.13"):
        self.cupti = ctypes.CDLL(library)
        self.lent, self.bytes, self.index = {}, b"", []
        pointer, size = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t)
        self.requested = ctypes.CFUNCTYPE(None, pointer, size, size)(self.lend)
        self.completed = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t,
                                          ctypes.c_size_t)(self.take)

    def lend(self, buffer, size, max_records):
        memory = ctypes.create_string_buffer(self.BYTES + 8)
        address = (ctypes.addressof(memory) + 7) & ~7
        self.lent[address] = memory
        buffer[0], size[0], max_records[0] = address, self.BYTES, 0

    def take(self, _context, _stream, buffer, _size, valid):
        record, records = ctypes.c_void_p(None), []
        while self.cupti.cuptiActivityGetNextRecord(ctypes.c_void_p(buffer), ctypes.c_size_t(valid), ctypes.byref(record)) == 0:
            kind = ctypes.c_uint32.from_address(record.value).value
            entry = {"offset": record.value - buffer, "kind": kind}
            if kind == self.KERNEL:
                name = ctypes.c_char_p.from_address(record.value + self.NAME_OFFSET).value
                entry["name"] = (name or b"").decode(errors="replace")
            records.append(entry)
        self.index.append({"offset": len(self.bytes), "bytes": valid, "records": records})
        self.bytes += ctypes.string_at(buffer, valid)

    def call(self, name, *arguments):
        result = getattr(self.cupti, name)(*arguments)
        if result != 0:
            raise RuntimeError(f"{name}: CUPTI error {result}")

    def start(self):
        self.call("cuptiActivityRegisterCallbacks", self.requested, self.completed)
        for kind in self.KINDS.values():
            self.call("cuptiActivityEnable", kind)

    def stop(self):
        for kind in self.KINDS.values():
            self.call("cuptiActivityDisable", kind)
        self.call("cuptiActivityFlushAll", 1)

    def version(self):
        version = ctypes.c_uint32()
        self.call("cuptiGetVersion", ctypes.byref(version))
        return version.value
