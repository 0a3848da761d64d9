"""Writes cases.json: what Pillow 11.3.0 makes of small image files, of resizes and of whole pages.

    python3 -m venv /tmp/pillow && /tmp/pillow/bin/pip install Pillow==11.3.0 numpy && /tmp/pillow/bin/python tests/golden/pillow/make.py

Pixels are compared by CRC-32. Pages are noise: byte i is the top byte of i * 2654435761 + seed (mod 2^32).
"""
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

assert PIL.__version__ == "11.3.0", PIL.__version__


def noise(count, seed):
    index = np.arange(count, dtype=np.uint64)
    return (((index * 2654435761 + seed) & 0xFFFFFFFF) >> 24).astype(np.uint8)


def page(width, height, seed=1):
    return Image.fromarray(noise(width * height * 3, seed).reshape(height, width, 3), "RGB")


def crc(data):
    return zlib.crc32(data.tobytes() if hasattr(data, "tobytes") else data)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color_type, extra=b"", late=b"", interlaced=False):
    """A PNG of noise, filter type 0, with `extra` chunks before and `late` ones after the pixels."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color_type]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for number, (x0, y0, dx, dy) in enumerate(passes):
        columns = len(range(x0, width, dx))
        for row in range(y0, height, dy) if columns else []:
            raw += b"\0" + noise((columns * bits + 7) // 8, 77 * row + number << 16).tobytes()
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + late
            + chunk(b"IEND", b""))


def tiff(orientation, order="II"):
    end = "<" if order == "II" else ">"
    return (order.encode() + struct.pack(end + "HIH", 42, 8, 2) + struct.pack(end + "HHII", 0x010F, 2, 1, 0)
            + struct.pack(end + "HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack(end + "I", 0))


def jpeg(mode, **options):
    out = io.BytesIO()
    bands = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    smooth = np.add.outer(np.arange(21) * 5, np.arange(27) * 3)[:, :, None] + np.arange(bands) * 40
    pixels = (smooth + noise(21 * 27 * bands, 5).reshape(21, 27, bands) // 8).astype(np.uint8)
    Image.fromarray(pixels.squeeze(), mode).save(out, "JPEG", **options)
    return out.getvalue()


def decode_cases():
    palette = chunk(b"PLTE", noise(48, 9).tobytes())
    full_palette = chunk(b"PLTE", noise(768, 9).tobytes())
    files = {}
    for depth in (1, 2, 4, 8, 16):
        files[f"png grey {depth} bit"] = png(13, 7, depth, 0)
    for depth in (1, 2, 4):
        files[f"png palette {depth} bit"] = png(13, 7, depth, 3, palette)
    files["png palette 8 bit"] = png(13, 7, 8, 3, full_palette)
    files["png palette 8 bit, indices past its end"] = png(13, 7, 8, 3, palette)
    files["png palette 8 bit, transparent"] = png(13, 7, 8, 3, full_palette + chunk(b"tRNS", b"\0\x80\x10"))
    for depth in (8, 16):
        files[f"png rgb {depth} bit"] = png(13, 7, depth, 2)
        files[f"png grey alpha {depth} bit"] = png(13, 7, depth, 4)
        files[f"png rgb alpha {depth} bit"] = png(13, 7, depth, 6)
    files["png rgb 8 bit, transparent colour"] = png(13, 7, 8, 2, chunk(b"tRNS", bytes(6)))
    files["png rgb 8 bit, gamma"] = png(13, 7, 8, 2, chunk(b"gAMA", struct.pack(">I", 100000)))
    files["png rgb 8 bit, interlaced"] = png(13, 7, 8, 2, interlaced=True)
    files["png grey 16 bit, interlaced"] = png(13, 7, 16, 0, interlaced=True)
    files["png grey 1 bit, interlaced"] = png(13, 7, 1, 0, interlaced=True)
    files["png 1x1"] = png(1, 1, 8, 2)
    files["png orientation 6"] = png(13, 7, 8, 2, chunk(b"eXIf", tiff(6)))
    files["png orientation 8 after the pixels"] = png(13, 7, 8, 2, late=chunk(b"eXIf", tiff(8, "MM")))
    files["jpeg grey"] = jpeg("L")
    files["jpeg 4:4:4"] = jpeg("RGB", quality=95, subsampling=0)
    files["jpeg 4:2:2"] = jpeg("RGB", quality=80, subsampling=1)
    files["jpeg 4:2:0"] = jpeg("RGB", quality=80, subsampling=2)
    files["jpeg progressive"] = jpeg("RGB", progressive=True)
    files["jpeg cmyk"] = jpeg("CMYK")
    for orientation in range(0, 10):
        order = "MM" if orientation % 2 else "II"
        files[f"jpeg orientation {orientation}"] = jpeg("RGB", exif=b"Exif\0\0" + tiff(orientation, order))
    for name, data in files.items():
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        yield {"name": name, "file_hex": data.hex(), "width": image.width, "height": image.height, "crc32": crc(image)}


def resize_cases():
    sizes = [(1, 1, 7, 5), (2, 3, 3, 2), (5, 5, 5, 5), (640, 1, 3, 9), (33, 700, 640, 640), (420, 610, 320, 320),
             (100, 80, 100, 37), (100, 80, 37, 80), (613, 407, 211, 503), (1000, 3, 64, 64), (97, 89, 389, 401),
             (1240, 1754, 640, 640), (17, 2000, 16, 24)]
    for width, height, to_width, to_height in sizes:
        out = page(width, height).resize((to_width, to_height), Image.Resampling.BICUBIC)
        yield {"from": [width, height], "to": [to_width, to_height], "crc32": crc(out)}


def normalised(image):
    levels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
    return np.ascontiguousarray((levels - np.float32(0.5)) / np.float32(0.5))


def view_cases():
    """(page, base_size, image_size, crop grid or none): single views up to 640 are squashed, the others padded."""
    cases = [((1, 1), 1024, 640, None), ((600, 600), 1024, 640, None), ((640, 333), 1024, 640, None),
             ((1240, 1754), 1024, 640, (2, 3)), ((641, 640), 1024, 640, (2, 2)), ((3000, 500), 1024, 640, (6, 1)),
             ((1, 1), 512, 512, None), ((1240, 1754), 512, 512, None), ((300, 700), 640, 640, None),
             ((501, 333), 1024, 1024, None), ((333, 1001), 1280, 1280, None), ((7, 1023), 1024, 1024, None)]
    for (width, height), base_size, image_size, grid in cases:
        source = page(width, height)
        crop_mode = base_size != image_size
        if not crop_mode and image_size <= 640:
            view = source.resize((image_size, image_size), Image.Resampling.BICUBIC)
        else:
            view = ImageOps.pad(source, (base_size, base_size), color=(127, 127, 127), method=Image.Resampling.BICUBIC)
        case = {"page": [width, height], "base_size": base_size, "image_size": image_size, "crop_mode": crop_mode,
                "crop_grid": list(grid or (1, 1)), "global_crc32": crc(normalised(view)), "crops_crc32": 0}
        if grid:
            wide, high = grid
            tiles = source.resize((640 * wide, 640 * high), Image.Resampling.BICUBIC)
            crops = [normalised(tiles.crop((640 * x, 640 * y, 640 * x + 640, 640 * y + 640)))
                     for y in range(high) for x in range(wide)]
            case["crops_crc32"] = crc(np.stack(crops))
        yield case


def main():
    cases = {"notes": "written by make.py with Pillow 11.3.0", "decode": list(decode_cases()),
             "resize": list(resize_cases()), "views": list(view_cases())}
    path = pathlib.Path(__file__).parent / "cases.json"
    path.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
