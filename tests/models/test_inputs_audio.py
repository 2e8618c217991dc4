"""Audio as features: what a file, a rate, silence and a single sample become, and what each disturbance does."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from raw_inputs import tone

from models.inputs.audio import SPEEDS, AudioInputConfig, fit_audio, normalise, read_audio, resample
from models.inputs.front_end import ConvolvedFrames, StackedFrames
from models.inputs.spectrum import deltas, mask_bands, mask_times, tilt_bands, warp_tract

FACTS = fit_audio(8000)


def encoded_file(samples: np.ndarray, rate: int, kind: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_file_is_read_from_its_path_and_from_its_bytes(kind: str, tmp_path: Path) -> None:
    data = encoded_file(tone(0.5), 8000, kind)
    path = tmp_path / "sound"
    path.write_bytes(data)
    for source in (data, path):
        samples, rate = read_audio(source)
        assert rate == 8000
        assert samples.dtype == np.float32
        np.testing.assert_allclose(samples, tone(0.5), atol=1e-4)


def test_channels_are_averaged() -> None:
    stereo = np.stack([tone(0.1), -tone(0.1)], axis=1)
    samples, _ = read_audio(encoded_file(stereo, 8000, "WAV"))
    assert samples.shape == (800,)
    assert np.abs(samples).max() < 1e-4


@pytest.mark.parametrize("data", [b"", b"no audio at all", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_what_is_no_audio_is_refused_with_the_remedy(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"\d+ bytes.*give WAV"):
        read_audio(data)
    with pytest.raises(ValueError, match=r"broken\.wav.*give WAV"):
        read_audio(path)
    with pytest.raises(ValueError, match=r"absent\.wav"):
        read_audio(tmp_path / "absent.wav")


@pytest.mark.parametrize(("rate", "kept", "bins"), [(8000, 8000, 40), (16000, 16000, 80), (44100, 16000, 80)])
def test_rate_and_bins_follow_the_data(rate: int, kept: int, bins: int) -> None:
    facts = fit_audio(rate)
    assert (facts.sample_rate, facts.bins) == (kept, bins)
    samples = resample(tone(0.5, rate), rate, facts.sample_rate)
    assert len(samples) == pytest.approx(0.5 * kept, abs=2)
    assert facts.encode("fbank", samples).shape == (50, bins)


def test_a_rate_change_keeps_the_pitch() -> None:
    at_8k, at_16k = FACTS.log_mel(tone(0.5)), FACTS.log_mel(resample(tone(0.5, 16000), 16000, 8000))
    np.testing.assert_array_equal(at_8k[10:40].argmax(axis=1), at_16k[10:40].argmax(axis=1))


def test_features_do_not_depend_on_loudness_and_never_on_chance() -> None:
    loud, quiet = FACTS.encode("fbank", tone(0.5)), FACTS.encode("fbank", tone(0.5) * 0.1)
    np.testing.assert_allclose(loud, quiet, atol=0.02)
    np.testing.assert_array_equal(loud, FACTS.encode("fbank", tone(0.5)))
    np.testing.assert_allclose(loud.mean(axis=0), 0, atol=1e-5)
    assert loud.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 79, 80, 120, 200])
def test_audio_shorter_than_a_window_is_a_step_or_two(samples: int) -> None:
    features = FACTS.encode("fbank", np.zeros(samples, np.float32))
    assert 1 <= len(features) <= 3
    assert not features.any()


def test_silence_is_zero_and_not_blown_up() -> None:
    silent = np.random.default_rng(0).normal(0, 1e-9, 4000).astype(np.float32)
    assert np.abs(FACTS.encode("fbank", silent)).max() < 0.1
    assert not normalise(np.full((9, 40), -15.0, np.float32)).any()


def test_variants_change_pace_and_pitch() -> None:
    samples = tone(1.0)
    lengths = [len(FACTS.encode_variant("fbank", samples, v)) for v in range(FACTS.variants)]
    assert lengths == [pytest.approx(100 / speed, abs=1) for speed in SPEEDS]
    played = resample(samples, 8000 * 1.1, 8000)
    spectrum = np.abs(np.fft.rfft(played))
    assert spectrum.argmax() * 8000 / len(played) == pytest.approx(440 * 1.1, abs=2)


def test_bands_are_blanked_for_all_frames_and_no_wider_than_allowed() -> None:
    torch.manual_seed(0)
    x = mask_bands(torch.ones(300, 5, 40), masks=1, widest=8)
    blank = x[:, 0] == 0
    assert (blank[:, None] == (x == 0)).all()
    assert sorted(set(blank.sum(dim=1).tolist())) == list(range(9))
    assert blank.any(dim=0).all()


def test_stretches_are_blanked_inside_an_item_and_no_longer_than_its_share() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([1, 10, 100, 1000] * 50)
    x = mask_times(torch.ones(200, 1000, 3), lengths, masks=1, widest=30, share=0.2)
    blank = (x == 0).all(dim=2)
    assert ((x == 0).any(dim=2) == blank).all()
    for longest, steps in ((0, 1), (2, 10), (20, 100), (30, 1000)):
        rows = blank[lengths == steps]
        assert rows.sum(dim=1).max() == longest
        assert not rows[:, steps:].any()


def test_a_warp_moves_a_peak_by_its_factor_and_none_leaves_all_as_it_is() -> None:
    torch.manual_seed(0)
    mel_M = torch.linspace(100, 2000, 80)
    place = torch.arange(80.0)
    peak_BTM = torch.exp(-0.05 * (place - 40) ** 2).repeat(200, 3, 1)
    torch.testing.assert_close(warp_tract(peak_BTM, mel_M, 0.0), peak_BTM, atol=1e-3, rtol=0)
    hertz = 700 * torch.expm1(mel_M / 1127)
    moved = hertz[warp_tract(peak_BTM, mel_M, 0.2)[:, 0].argmax(dim=1)] / hertz[40]
    assert moved.max() == pytest.approx(1 / 0.8, abs=0.05)
    assert moved.min() == pytest.approx(1 / 1.2, abs=0.05)


def test_deltas_are_the_slope_and_end_with_the_item() -> None:
    x = torch.tensor([[[0.0], [2.0], [6.0], [0.0]]])
    assert deltas(x, torch.tensor([3]))[0, :3, 0].tolist() == [1.0, 3.0, 2.0]


@pytest.mark.parametrize(("frames", "steps"), [(1, [5, 1, 4]), (2, [3, 1, 2]), (3, [2, 1, 2])])
def test_frames_are_stacked_and_lengths_rounded_up(frames: int, steps: list[int]) -> None:
    x = torch.arange(1.0, 6.0).repeat(3, 1)[..., None] * (torch.arange(5) < torch.tensor([[5], [1], [4]]))[..., None]
    stacked, lengths = StackedFrames(1, frames)(x, torch.tensor([5, 1, 4]))
    assert stacked.shape == (3, max(steps), frames)
    assert lengths.tolist() == steps
    assert stacked[0].flatten()[:5].tolist() == [1, 2, 3, 4, 5]
    assert not stacked[0].flatten()[5:].any()


def test_deltas_and_time_reduction_widen_a_step() -> None:
    module = AudioInputConfig(front_end="stack", deltas=True, time_reduction=3).build(FACTS).eval()
    x_BTC, lengths_B = module(torch.randn(2, 10, 40), torch.tensor([10, 4]))
    assert x_BTC.shape == (2, 4, 240)
    assert lengths_B.tolist() == [4, 2]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("bins", [8, 23, 40, 80])
def test_a_convolution_keeps_the_lengths_of_stacking_and_says_its_width(bins: int, frames: int, layers: int) -> None:
    lengths_B = torch.tensor([7, 1, 5])
    x_BTM = torch.randn(3, 7, bins) * (torch.arange(7) < lengths_B[:, None])[..., None]
    stack, convolution = StackedFrames(bins, frames), ConvolvedFrames(bins, frames, 4, layers)
    stacked, convolved = stack(x_BTM, lengths_B), convolution(x_BTM, lengths_B)
    assert convolved[0].shape == (*stacked[0].shape[:2], convolution.output_size)
    torch.testing.assert_close(convolved[1], stacked[1])


def test_a_tilt_is_one_smooth_curve_for_all_frames_of_an_item() -> None:
    torch.manual_seed(0)
    curve_BTM = tilt_bands(torch.zeros(500, 6, 40), strength=0.5)
    assert (curve_BTM == curve_BTM[:, :1]).all()
    assert curve_BTM[:, 0, [0, 13, 26, 39]].std() == pytest.approx(0.5, abs=0.03)
    assert curve_BTM.diff(n=2, dim=2).abs().gt(1e-5).sum(dim=2).max() <= 4


def test_a_time_reduction_that_chunks_could_not_follow_is_refused() -> None:
    with pytest.raises(ValueError, match="less than or equal to 6"):
        AudioInputConfig(time_reduction=8)
