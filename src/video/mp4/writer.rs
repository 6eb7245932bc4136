//! Encoding to H.264, and the MP4 or MOV file around it.

use std::io::{BufWriter, Write};

use openh264::encoder::{Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Profile, QpRange, RateControlMode, VuiConfig};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};
use shiguredo_mp4::bitstream::h264::{H264NalUnitType, parse_annexb_nal_units};

use super::muxing::{CodedFrame, Contents, failed};
use crate::partial_file::PartialFile;
use crate::video::colour::Colour;
use crate::video::frame::Frame;
use crate::video::options::{Effort, VideoOptions};
use crate::video::output::{Output, Scratch};
use crate::video::sink::Sink;
use crate::{Error, Result};

/// Seconds between frames that a player can jump to.
const KEYFRAME_SECONDS: f64 = 2.0;

/// Encodes frames as they come. The coded frames wait in a file of their own, because the index that goes before them is only
/// known at the end.
pub(in crate::video) struct Mp4Writer<'w> {
    output: Output<'w>,
    coded: BufWriter<Box<dyn Scratch>>,
    coded_file: Option<PartialFile>,
    encoder: Encoder,
    contents: Contents,
}

impl<'w> Mp4Writer<'w> {
    /// Of a MOV file, or an MP4 file.
    pub(in crate::video) fn create(
        output: Output<'w>,
        quicktime: bool,
        (width, height): (u32, u32),
        fps: f64,
        options: &VideoOptions,
    ) -> Result<Self> {
        let path = output.name();
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return Err(Error::Input(format!("H.264 needs even sides, not {width}x{height}; choose an even size or write .gif or PNG")));
        }
        if width.max(height) > 3840 || width.min(height) > 2160 || width.min(height) < 16 {
            return Err(Error::Input(format!("H.264 is written from 16x16 up to 3840x2160 pixels, not {width}x{height}; write PNG files")));
        }
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config(fps, options)).map_err(|e| failed(path, &e))?;
        let (coded_file, coded) = output.scratch(".h264")?;
        let audio = options.audio.clone().filter(|audio| {
            let held = !quicktime || matches!(&audio.kind, b"mp4a" | b"alac" | b"ac-3" | b"ec-3");
            if !held {
                log::warn!("{}: MOV files hold no sound of the kind `{}`, so it is left out", path.display(), audio.kind.escape_ascii());
            }
            held
        });
        let contents = Contents { quicktime, fps, frames: Vec::new(), sps: Vec::new(), pps: Vec::new(), audio };
        Ok(Self { output, coded: BufWriter::new(coded), coded_file, encoder, contents })
    }

    /// Appends the NAL units of one frame, each behind its length; parameter sets go to the index instead.
    fn append(&mut self, annexb: &[u8]) -> Result<()> {
        let path = self.output.name();
        let mut frame = CodedFrame { size: 0, keyframe: false };
        for nal in parse_annexb_nal_units(annexb).map_err(|e| failed(path, &e))? {
            let sets = match nal.nal_unit_type {
                H264NalUnitType::Sps => &mut self.contents.sps,
                H264NalUnitType::Pps => &mut self.contents.pps,
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
        self.contents.frames.push(frame);
        Ok(())
    }
}

impl Sink for Mp4Writer<'_> {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let yuv = Colour::BT709.to_yuv(frame.samples(), width, height);
        let (luma, chroma) = yuv.split_at(width * height);
        let (cb, cr) = chroma.split_at(chroma.len() / 2);
        let source = YUVSlices::new((luma, cb, cr), (width, height), (width, width / 2, width / 2));
        let milliseconds = (self.contents.frames.len() as f64 * 1000.0 / self.contents.fps) as u64;
        let coded = self.encoder.encode_at(&source, Timestamp::from_millis(milliseconds));
        let annexb = coded.map_err(|e| failed(self.output.name(), &e))?.to_vec();
        self.append(&annexb)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.coded.flush().map_err(Error::io(self.output.name()))?;
        self.contents.write(&mut **self.coded.get_mut(), &mut self.output)?;
        drop(self.coded_file);
        self.output.publish()
    }
}

fn config(fps: f64, options: &VideoOptions) -> EncoderConfig {
    let complexity = match options.effort {
        Effort::Fast => Complexity::Low,
        Effort::Balanced => Complexity::Medium,
        Effort::Small => Complexity::High,
    };
    EncoderConfig::new()
        .rate_control_mode(RateControlMode::Bufferbased)
        .qp(quantiser(options.quality))
        .profile(Profile::High)
        .skip_frames(false)
        .complexity(complexity)
        .background_detection(false)
        .adaptive_quantization(false)
        .intra_frame_period(IntraFramePeriod::from_num_frames((fps * KEYFRAME_SECONDS).ceil() as u32))
        .max_frame_rate(FrameRate::from_hz(fps as f32))
        .vui(VuiConfig::bt709())
}

/// 1 to 100 as the H.264 quantiser, which runs the other way: 90 is 15, some 50 dB; 100 is 12, the least OpenH264 takes.
fn quantiser(quality: u8) -> QpRange {
    let qp = (46.0 - 0.34 * f32::from(quality)).round() as u8;
    QpRange::new(qp, qp)
}
