//! Encoding to H.264, and the MP4 or MOV file around it.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::num::NonZeroU32;
use std::path::Path;

use openh264::encoder::{Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Profile, QpRange, RateControlMode, VuiConfig};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};
use shiguredo_mp4::bitstream::h264::{H264NalUnitType, H264SampleEntryConfig, LengthSize, build_avc1_box, parse_annexb_nal_units};
use shiguredo_mp4::boxes::{SampleEntry, UnknownBox};
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size};
use shiguredo_mp4::TrackKind;

use super::colour::Colour;
use super::movie::any_box;
use crate::partial_file::PartialFile;
use crate::video::frame::Frame;
use crate::video::sink::Sink;
use crate::{Error, Result};

/// Seconds between frames that a player can jump to.
const KEYFRAME_SECONDS: f64 = 2.0;

/// Encodes frames as they come. The coded frames wait in a file of their own, because the index that goes before them is only
/// known at the end.
pub(in crate::video) struct Mp4Writer {
    file: PartialFile,
    output: File,
    coded: BufWriter<File>,
    coded_file: PartialFile,
    quicktime: bool,
    fps: f64,
    encoder: Encoder,
    samples: Vec<CodedFrame>,
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
}

struct CodedFrame {
    size: usize,
    keyframe: bool,
}

impl Mp4Writer {
    pub(in crate::video) fn create(path: &Path, width: u32, height: u32, fps: f64, quality: u8) -> Result<Self> {
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return Err(Error::Input(format!("H.264 needs even sides, not {width}x{height}; choose an even size or write .gif or PNG")));
        }
        if width.max(height) > 3840 || width.min(height) > 2160 || width.min(height) < 16 {
            return Err(Error::Input(format!("H.264 is written from 16x16 up to 3840x2160 pixels, not {width}x{height}; write PNG files")));
        }
        let config = EncoderConfig::new()
            .rate_control_mode(RateControlMode::Bufferbased)
            .qp(quantiser(quality))
            .profile(Profile::High)
            .skip_frames(false)
            .complexity(Complexity::High)
            .background_detection(false)
            .adaptive_quantization(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames((fps * KEYFRAME_SECONDS).ceil() as u32))
            .max_frame_rate(FrameRate::from_hz(fps as f32))
            .vui(VuiConfig::bt709());
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| failed(path, &e))?;
        let (file, output) = PartialFile::create(path)?;
        let mut coded_path = path.as_os_str().to_owned();
        coded_path.push(".h264");
        let (coded_file, coded) = PartialFile::create(Path::new(&coded_path))?;
        let quicktime = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("mov"));
        let coded = BufWriter::new(coded);
        Ok(Self { file, output, coded, coded_file, quicktime, fps, encoder, samples: Vec::new(), sps: Vec::new(), pps: Vec::new() })
    }

    /// Appends the NAL units of one frame, each behind its length; parameter sets go to the index instead.
    fn append(&mut self, annexb: &[u8]) -> Result<()> {
        let path = self.file.path();
        let mut frame = CodedFrame { size: 0, keyframe: false };
        for nal in parse_annexb_nal_units(annexb).map_err(|e| failed(path, &e))? {
            let sets = match nal.nal_unit_type {
                H264NalUnitType::Sps => &mut self.sps,
                H264NalUnitType::Pps => &mut self.pps,
                kind => {
                    frame.keyframe |= kind == H264NalUnitType::IdrSlice;
                    frame.size += 4 + nal.data.len();
                    self.coded.write_all(&(nal.data.len() as u32).to_be_bytes()).map_err(Error::io(path))?;
                    self.coded.write_all(nal.data).map_err(Error::io(path))?;
                    continue;
                }
            };
            if !sets.iter().any(|set| set == nal.data) {
                sets.push(nal.data.to_vec());
            }
        }
        if frame.size == 0 {
            return Err(failed(path, &"the encoder left out a frame"));
        }
        self.samples.push(frame);
        Ok(())
    }

    /// The index for all frames, and how many bytes it takes up in front of them.
    fn index(&self) -> Result<(Mp4FileMuxer, u64), Box<dyn std::error::Error>> {
        let mut avc1 = build_avc1_box(&self.sps, &self.pps, &H264SampleEntryConfig { length_size: LengthSize::FourBytes })?;
        avc1.unknown_boxes.push(colour_box(self.quicktime));
        let mut entry = Some(SampleEntry::Avc1(avc1));
        let reserved_moov_box_size = estimate_maximum_moov_box_size(&[self.samples.len()]);
        let mut muxer = Mp4FileMuxer::with_options(Mp4FileMuxerOptions { reserved_moov_box_size, ..Default::default() })?;
        let start = muxer.initial_boxes_bytes().len() as u64;
        let (timescale, duration) = frame_time(self.fps);
        let mut data_offset = start;
        for sample in &self.samples {
            muxer.append_sample(&Sample {
                track_kind: TrackKind::Video,
                sample_entry: entry.take(),
                keyframe: sample.keyframe,
                timescale,
                duration,
                composition_time_offset: None,
                data_offset,
                data_size: sample.size,
            })?;
            data_offset += sample.size as u64;
        }
        muxer.finalize()?;
        Ok((muxer, start))
    }

    fn assemble(&mut self, muxer: &Mp4FileMuxer, start: u64) -> std::io::Result<()> {
        let mut output = BufWriter::new(&self.output);
        output.write_all(muxer.initial_boxes_bytes())?;
        for (offset, bytes) in muxer.finalized_boxes().into_iter().flat_map(|boxes| boxes.offset_and_bytes_pairs()) {
            output.seek(SeekFrom::Start(offset))?;
            output.write_all(bytes)?;
        }
        if self.quicktime {
            // In `ftyp`, behind its size and name: the major brand, the minor version, the first compatible brand.
            output.seek(SeekFrom::Start(8))?;
            output.write_all(b"qt  \0\0\0\0qt  ")?;
        }
        self.coded.flush()?;
        let coded = self.coded.get_mut();
        coded.seek(SeekFrom::Start(0))?;
        output.seek(SeekFrom::Start(start))?;
        std::io::copy(coded, &mut output)?;
        output.flush()
    }
}

impl Sink for Mp4Writer {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let yuv = Colour::BT709.to_yuv(frame.samples(), width, height);
        let (luma, chroma) = yuv.split_at(width * height);
        let (cb, cr) = chroma.split_at(chroma.len() / 2);
        let source = YUVSlices::new((luma, cb, cr), (width, height), (width, width / 2, width / 2));
        let milliseconds = (self.samples.len() as f64 * 1000.0 / self.fps) as u64;
        let coded = self.encoder.encode_at(&source, Timestamp::from_millis(milliseconds));
        let annexb = coded.map_err(|e| failed(self.file.path(), &e))?.to_vec();
        self.append(&annexb)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let (muxer, start) = self.index().map_err(|e| failed(self.file.path(), &e))?;
        self.assemble(&muxer, start).map_err(Error::io(self.file.path()))?;
        drop(self.coded_file);
        self.file.publish()
    }
}

/// 1 to 100 as the H.264 quantiser, which runs the other way: 90 is 15, some 50 dB; 100 is 12, the least OpenH264 takes.
fn quantiser(quality: u8) -> QpRange {
    let qp = (46.0 - 0.34 * f32::from(quality)).round() as u8;
    QpRange::new(qp, qp)
}

/// Ticks a second, and how many a frame lasts. Rates of n or n/1.001 are exact.
fn frame_time(fps: f64) -> (NonZeroU32, u32) {
    let exact = |ticks: u32| {
        let scaled = fps * f64::from(ticks);
        (scaled.round() >= 1.0 && (scaled / scaled.round() - 1.0).abs() < 1e-6).then_some((scaled, ticks))
    };
    let (timescale, ticks) = exact(1).map(|_| (fps * 1000.0, 1000)).or_else(|| exact(1001)).unwrap_or((fps * 100_000.0, 100_000));
    (NonZeroU32::new(timescale.round() as u32).unwrap_or(NonZeroU32::MIN), ticks)
}

/// Says BT.709 to players that do not look into the stream.
fn colour_box(quicktime: bool) -> UnknownBox {
    let payload = if quicktime { b"nclc\0\x01\0\x01\0\x01".to_vec() } else { b"nclx\0\x01\0\x01\0\x01\0".to_vec() };
    any_box(*b"colr", payload)
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Input(format!("{}: cannot encode the video: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_rates_are_exact() {
        let time = |fps| {
            let (timescale, ticks) = frame_time(fps);
            (timescale.get(), ticks)
        };
        assert_eq!(time(30.0), (30_000, 1000));
        assert_eq!(time(16.0), (16_000, 1000));
        assert_eq!(time(30_000.0 / 1001.0), (30_000, 1001));
        assert_eq!(time(24_000.0 / 1001.0), (24_000, 1001));
        assert_eq!(time(12.5), (1_250_000, 100_000));
        assert_eq!(time(1000.0), (1_000_000, 1000));
        assert_eq!(time(1e-9), (1, 100_000));
    }
}
