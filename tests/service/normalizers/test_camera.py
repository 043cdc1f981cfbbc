import re
import time
import zlib

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.contract.tensors import ENCODE_INPUTS
from service.normalizers.camera import DEFAULT_LIMITS, CameraLimits, camera_check, camera_rgb, decode_camera
from tests.service.normalizers.pictures import (
    encoded,
    jpeg_of_claimed_size,
    png_chunk,
    png_header,
    png_of_claimed_size,
    scene,
)

SPEC = next(spec for spec in ENCODE_INPUTS if spec.name == "camera")
JPEG = encoded(scene(), "JPEG", quality=90)
PNG = encoded(scene(), "PNG")
MESSAGE = r"(?s)^expected .+, got .+"


def picture(file: bytes) -> np.ndarray:
    pictures = camera_rgb([file])
    SPEC.check(pictures)
    return pictures[0]


def refusal(file: bytes, limits: CameraLimits = DEFAULT_LIMITS) -> str:
    """The message of the `ValueError` that the file raises."""
    with pytest.raises(ValueError, match=MESSAGE) as caught:
        camera_rgb([file], limits)
    return str(caught.value)


def assert_red_left_blue_right(rgb: np.ndarray) -> None:
    left, right = rgb[:, :, :90].mean(axis=(1, 2)), rgb[:, :, 102:].mean(axis=(1, 2))
    assert left.argmax() == 0
    assert right.argmax() == 2
    assert rgb[0, 5, 40] > rgb[0, 90, 40] + 50  # row 0 is the top


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(JPEG, id="jpeg"),
        pytest.param(PNG, id="png"),
        pytest.param(encoded(scene(), "JPEG", progressive=True), id="progressive"),
        pytest.param(encoded(scene(), "JPEG", subsampling=0), id="full colour resolution"),
        pytest.param(encoded(scene().convert("CMYK"), "JPEG"), id="cmyk"),
        pytest.param(encoded(scene().convert("RGBA"), "PNG"), id="rgba"),
        pytest.param(encoded(scene().quantize(16), "PNG"), id="palette"),
        pytest.param(encoded(scene(3840, 2160), "JPEG"), id="large"),
        pytest.param(encoded(scene(50, 30), "JPEG"), id="small jpeg"),
        pytest.param(encoded(scene(50, 30), "PNG"), id="small png"),
        pytest.param(encoded(scene(97, 311), "JPEG"), id="upright"),
        pytest.param(simplejpeg.encode_jpeg(np.asarray(scene()), quality=80), id="by another encoder"),
        pytest.param(JPEG + b"a trailer, as some cameras write one", id="with a trailer"),
    ],
)
def test_what_a_camera_may_send_becomes_an_rgb_picture(file):
    assert_red_left_blue_right(picture(file))


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "1"), ("PNG", "LA")])
def test_grey_pictures_have_three_equal_channels(kind, mode):
    red, green, blue = picture(encoded(scene().convert(mode), kind))
    np.testing.assert_array_equal(red, green)
    np.testing.assert_array_equal(red, blue)
    assert red.max() > 50


def test_a_16_bit_grey_picture_keeps_its_shades():
    ramp = np.linspace(0, 65535, 192).astype(np.uint16)[None].repeat(96, 0)
    red, _, _ = picture(encoded(Image.fromarray(ramp), "PNG"))
    np.testing.assert_allclose(red[0], ramp[0] >> 8, atol=1)


def test_a_picture_of_the_right_size_keeps_its_pixels():
    exact = scene(192, 96)
    np.testing.assert_array_equal(picture(encoded(exact, "PNG")), np.asarray(exact).transpose(2, 0, 1))


def test_jpeg_and_png_of_one_picture_agree():
    np.testing.assert_allclose(picture(JPEG).astype(int).mean((1, 2)), picture(PNG).astype(int).mean((1, 2)), atol=2)


@pytest.mark.parametrize(
    "file",
    [b"", b"\xff", b"\xff\xd8", b"hello", b"GIF89a" + bytes(50), encoded(scene(), "BMP"), encoded(scene(), "WEBP")],
    ids=["empty", "one byte", "two bytes", "text", "gif", "bmp", "webp"],
)
def test_what_is_no_jpeg_or_png_is_refused(file):
    assert "a JPEG or PNG image" in refusal(file)


@pytest.mark.parametrize("file", [JPEG, encoded(scene(), "JPEG", progressive=True), PNG], ids=["base", "prog", "png"])
def test_a_truncated_file_is_refused_wherever_it_ends(file):
    for length in {*range(3, 64), *range(64, len(file), 97), *range(len(file) - 20, len(file))}:
        refusal(file[:length])


@pytest.mark.parametrize("file", [JPEG, PNG], ids=["jpeg", "png"])
def test_a_file_with_a_hole_is_refused(file):
    middle = len(file) // 2
    refusal(file[:middle] + bytes(100) + file[middle + 100 :])


@pytest.mark.parametrize("forge", [jpeg_of_claimed_size, png_of_claimed_size])
@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (8193, 1), (8192, 8192), (0, 100), (100, 0)])
def test_a_header_that_claims_too_much_or_nothing_is_refused_before_decoding(forge, width, height):
    file = forge(width, height)
    begin = time.perf_counter()
    refusal(file)
    with pytest.raises(ValueError, match="expected"):
        camera_check(file)
    assert time.perf_counter() - begin < 2.0


def test_the_largest_side_of_a_png_chunk_is_refused():
    assert "4294967295 x 4294967295 px" in refusal(png_of_claimed_size(2**32 - 1, 2**32 - 1))


@pytest.mark.parametrize("forge", [jpeg_of_claimed_size, png_of_claimed_size])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(forge):
    assert "a complete" in refusal(forge(2000, 1000))


def test_a_png_with_a_second_header_is_refused():
    second = png_header(60_000, 60_000)
    assert "a complete PNG image" in refusal(PNG[:33] + second + PNG[33:])


def test_a_png_that_starts_with_another_chunk_is_refused():
    assert "starts with a header" in refusal(PNG[:8] + png_chunk(b"tEXt", b"a\0b") + PNG[8:])


def test_an_animation_is_refused():
    frames = [scene(40, 20), scene(40, 20).rotate(180)]
    animation = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert "an animation" in refusal(animation)


def test_a_jpeg_of_endless_scans_is_refused():
    scan = JPEG[JPEG.index(b"\xff\xda") : -2]
    assert "at most 64 scans, got 100" in refusal(JPEG[:-2] + scan * 99 + JPEG[-2:])


def test_a_text_that_unpacks_to_megabytes_is_refused():
    bomb = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000)))
    refusal(PNG[:33] + bomb + PNG[33:])


def test_the_limits_are_the_callers():
    camera_rgb([JPEG], CameraLimits(max_side_px=480, max_pixels=480 * 240))
    assert "480 x 240 px" in refusal(JPEG, CameraLimits(max_side_px=479))
    assert "at most 1000 px in all" in refusal(PNG, CameraLimits(max_pixels=1000))


@settings(deadline=None)
@given(st.sampled_from([JPEG, PNG]), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1))
def test_random_damage_gives_a_picture_or_a_refusal(file, damage):
    damaged = bytearray(file)
    for place, value in damage:
        damaged[place % len(file)] = value
    refused = None
    try:
        SPEC.check(decode_camera(bytes(damaged))[None])
    except ValueError as error:
        refused = str(error)
    assert refused is None or re.match(MESSAGE, refused)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", JPEG[:3], PNG[:16], PNG[:33], JPEG[:200]]))
def test_random_bytes_are_refused(tail, start):
    refusal(start + tail)


def test_a_batch_of_none_gives_none():
    assert camera_rgb([]).shape == (0, 3, 96, 192)
