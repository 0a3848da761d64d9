"""Reads records as they are in memory (cupti/record/record.h), for tests of what an agent recorded."""

import bisect
import collections
import struct

RECORD_BYTES = 56
Operation = collections.namedtuple("Operation", "start end path name nested")
Module = collections.namedtuple("Module", "path type root shape parameters")
CallShape = collections.namedtuple("CallShape", "name shape")


class Records:
    def __init__(self, data):
        self.names, self.paths = {0: ""}, {0: (0, "", False)}  # path: parent, name, whether it is a module's
        self.threads = {}  # number -> os thread
        self.modules, self.shapes, self.ranges = [], [], []  # ranges: (is_push, time, thread, owner)
        self.operations = collections.defaultdict(list)  # os thread -> Operation, in order of their starts
        pieces = collections.defaultdict(bytes)
        for at in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
            kind, _, _, thread = struct.unpack_from("<BBHI", data, at)
            body = data[at + 8:at + RECORD_BYTES]
            if kind == 1:
                self.threads[thread] = struct.unpack_from("<I", body)[0]
            elif kind == 2:
                name, total, offset = struct.unpack_from("<IHH", body)
                pieces[name] = (pieces[name] if offset else b"") + body[8:8 + min(40, total - offset)]
                if len(pieces[name]) == total:
                    self.names[name] = pieces[name].decode()
            elif kind == 3:
                path, parent, name, is_module = struct.unpack_from("<4I", body)
                self.paths[path] = (parent, self.names[name], is_module == 1)
            elif kind in (4, 5):
                time, owner = struct.unpack_from("<qQ", body)
                self.ranges.append((kind == 4, time, thread, owner))
            elif kind == 6:
                start, end, owner, name, _, nested = struct.unpack_from("<qqQIIQ", body)
                self.operations[self.threads[thread]].append(Operation(start, end, owner >> 40, self.names[name], nested))
            elif kind == 21:
                path, type_name, root, rank, *rest = struct.unpack_from("<4I4IQ", body)
                self.modules.append(Module(self.names[path], self.names[type_name], root, tuple(rest[:rank]), rest[4]))
            elif kind == 22:
                owner, rank, *sizes = struct.unpack_from("<Q6I", body)
                self.shapes.append(CallShape(self.name_of(owner >> 40), tuple(sizes[:rank])))
        for operations in self.operations.values():
            operations.sort()

    def name_of(self, path):
        return self.paths[path][1]

    def chain(self, path):
        """The names of a path, outermost first."""
        names = []
        while path:
            names.append(self.paths[path][1])
            path = self.paths[path][0]
        return names[::-1]

    def pushes(self, name):
        return sum(is_push and self.name_of(owner >> 40) == name for is_push, _, _, owner in self.ranges)

    def operation_at(self, thread, time):
        operations = self.operations.get(thread, [])
        at = bisect.bisect_right(operations, time, key=lambda operation: operation.start) - 1
        return operations[at] if at >= 0 and operations[at].end >= time else None
